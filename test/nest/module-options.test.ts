import { OPTIONS } from '../../lib/core/options.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { listOptions } from './support/option-cases/option-case.js';
import { retentionCases } from './support/option-cases/retention.js';
import { runningCases } from './support/option-cases/running.js';
import { storageCases } from './support/option-cases/storage.js';

const cases = [...runningCases, ...storageCases, ...retentionCases];

describe.each(everyKind)('the module option on $label:', (kind) => {
  const apps = useApps(kind);
  const casesHere = cases.filter(({ kinds }) => kinds.includes(kind));

  it.each(casesHere)('$option: $effect', async ({ expectEffect }) => {
    await expectEffect(apps);
  });
});

describe('the test cases of module options', () => {
  it('cover every option', () => {
    expect(listOptions(cases)).toEqual(Object.keys(OPTIONS).sort());
  });
});
