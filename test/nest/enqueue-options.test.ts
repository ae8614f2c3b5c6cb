import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { enqueueCases } from './support/option-cases/enqueue.js';
import { namesKnownBy, optionsOf } from './support/option-cases/option-case.js';
import { readEnqueueOptions } from '../../lib/core/job-options.js';

describe.each(everyKind)('the enqueue option on $label', (kind) => {
  const apps = useApps(kind);

  it.each(enqueueCases)('$option: $effect', async ({ expectEffect }) => {
    await expectEffect(apps);
  });
});

describe('the table of enqueue options', () => {
  it('has a case for each option of enqueue', () => {
    expect(optionsOf(enqueueCases)).toEqual(namesKnownBy((options) => readEnqueueOptions(options)));
  });
});
