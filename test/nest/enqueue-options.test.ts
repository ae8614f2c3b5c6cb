/** @matrix postgres-18 */

import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { enqueueCases } from './support/option-cases/enqueue.js';
import { readKnownNames, listOptions } from './support/option-cases/option-case.js';
import { readEnqueueOptions } from '../../lib/core/job-options.js';

describe.each(everyKind)('the enqueue option on $label:', (kind) => {
  const apps = useApps(kind);

  it.each(enqueueCases)('$option: $effect', async ({ expectEffect }) => {
    await expectEffect(apps);
  });
});

describe('the test cases of enqueue options', () => {
  it('cover every option', () => {
    expect(listOptions(enqueueCases)).toEqual(readKnownNames((options) => readEnqueueOptions(options)));
  });
});
