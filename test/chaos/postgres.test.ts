/** @slow */

import { useBuiltPackage } from '../processes/support/built-package.js';
import { isMatrix } from '../support/tier.js';
import { MUTANT_RUNS_MAX, QuickCampaign } from './quick-campaign.js';

const RUN_MAX_MS = 150_000;

useBuiltPackage();

describe('four workers and two enqueuers on PostgreSQL', () => {
  const campaign = new QuickCampaign('postgres', { isMatrix });

  beforeAll(() => campaign.open());

  afterAll(() => campaign.close());

  it.each(campaign.runs)(
    'keep every promise under the fault "%s"',
    async (_name, run) => {
      expect(await campaign.findings(run)).toMatchObject({ broken: [], isHit: true });
    },
    RUN_MAX_MS,
  );

  campaign.mutants.forEach(([name, run]) =>
    it(
      `break a promise with the defect "${name}"`,
      async () => {
        expect(await campaign.isFound(run)).toBe(true);
      },
      MUTANT_RUNS_MAX * RUN_MAX_MS,
    ),
  );
});
