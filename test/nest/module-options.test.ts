/**
 * @matrix postgres-18, typeorm-0.3
 * @slow
 */

import { OPTIONS } from '../../lib/core/options.js';
import { quick } from '../support/tier.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { listOptions } from './support/option-cases/option-case.js';
import { retentionCases } from './support/option-cases/retention.js';
import { runningCases } from './support/option-cases/running.js';
import { storageCases } from './support/option-cases/storage.js';

const cases = [...runningCases, ...storageCases, ...retentionCases];

describe.each(everyKind)('the module option on $label:', (kind) => {
  const apps = useApps(kind);

  for (const { option, effect, kinds, expectEffect } of cases) {
    if (!kinds.includes(kind)) continue;
    // `npm test` must run an option that exists on PostgreSQL only.
    const declare = kinds.length === 1 ? quick : it;
    declare(`${option}: ${effect}`, () => expectEffect(apps));
  }
});

describe('the test cases of module options', () => {
  it('cover every option', () => {
    expect(listOptions(cases)).toEqual(Object.keys(OPTIONS).sort());
  });
});
