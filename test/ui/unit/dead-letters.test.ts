import { readDeadLetters, readFailedJob } from '../../../ui/src/data/dead-letters.js';

const letter = { id: '01a2', topic: 'mail.dead' };

describe('links between failed jobs and dead letters', () => {
  it('are read from the metadata', () => {
    expect(readDeadLetters({ metadata: { by: 'app', $deadLetters: [letter] } })).toEqual([letter]);
    expect(readFailedJob({ metadata: { $failedJob: { id: '01a1', topics: ['import', 'mail'] } } })).toEqual({
      id: '01a1',
      topic: 'mail',
    });
  });

  it.each([null, {}, { $deadLetters: null, $failedJob: null }, { $deadLetters: 'x', $failedJob: 'x' }])(
    'are none in %j',
    (metadata) => {
      expect(readDeadLetters({ metadata })).toEqual([]);
      expect(readFailedJob({ metadata })).toBeNull();
    },
  );

  it('are none in malformed members', () => {
    expect(readDeadLetters({ metadata: { $deadLetters: [null, 7, { id: 1, topic: 'a' }, letter] } })).toEqual([letter]);
    expect(readFailedJob({ metadata: { $failedJob: { id: '01a1', topics: [] } } })).toBeNull();
  });
});
