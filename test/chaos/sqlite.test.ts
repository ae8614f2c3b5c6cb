import { useBuiltPackage } from '../processes/support/built-package.js';
import { QuickCampaign } from './quick-campaign.js';

const RUN_MAX_MS = 150_000;

useBuiltPackage();

describe('four workers and two enqueuers on one SQLite file', () => {
  const campaign = new QuickCampaign('sqlite');

  beforeAll(() => campaign.open());

  afterAll(() => campaign.close());

  it.each(campaign.runs)(
    'keep every promise under the fault "%s"',
    async (_name, run) => {
      expect(await campaign.findings(run)).toMatchObject({ broken: [], isHit: true });
    },
    RUN_MAX_MS,
  );

  it.each(campaign.mutants)(
    'break a promise with the defect "%s"',
    async (_name, run) => {
      expect(await campaign.findings(run)).not.toMatchObject({ broken: [] });
    },
    RUN_MAX_MS,
  );
});
