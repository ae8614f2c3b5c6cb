/**
 * @matrix nest-11
 * @never postgres-18
 */

import { readHandlerOptions } from '../../lib/core/job-options.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { handlerCases } from './support/option-cases/handler.js';
import { readKnownNames, listOptions } from './support/option-cases/option-case.js';

describe.each(everyKind)('the handler option on $label:', (kind) => {
  const apps = useApps(kind);
  const casesHere = handlerCases.filter(({ kinds }) => kinds.includes(kind));

  it.each(casesHere)('$option: $effect', async ({ expectEffect }) => {
    await expectEffect(apps);
  });
});

describe('the test cases of handler options', () => {
  it('cover every option', () => {
    expect(listOptions(handlerCases)).toEqual(readKnownNames((options) => readHandlerOptions('work', options)));
  });
});
