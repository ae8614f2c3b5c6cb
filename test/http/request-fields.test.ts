import { toWireName } from '../../lib/core/wire-name.js';
import { readBody, readQuery } from '../../lib/http/request-fields.js';
import { ENQUEUE, LIST } from '../../lib/http/requests.js';

function complaintsOf(body: object): object {
  try {
    readBody(ENQUEUE, body);
    return {};
  } catch (error) {
    return (error as { data: object }).data;
  }
}

describe('the fields of a request', () => {
  it('are validated in one pass, so that a URL with many names is fast', () => {
    const names = Array.from({ length: 40_000 }, (_, index) => `a${index}`);
    const query = new URLSearchParams(names.join('&'));
    const began = performance.now();
    expect(() => readQuery(LIST, query)).toThrow('unknown field');
    // A search per name would take about 15 s.
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('are reported in part if many are invalid', () => {
    const body = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`a${index}`, 1]));
    expect(Object.keys(complaintsOf(body))).toEqual(Object.keys(body).slice(0, 20));
  });

  it('get a suggestion if misspelt, and a list of known names otherwise', () => {
    const complaints = complaintsOf({ topic: 'a', payload: 1, uniqueKey: 'k', prioritty: 1, stranger_by_far: 1 });
    expect(complaints).toMatchObject({
      uniqueKey: "unknown field; did you mean 'unique_key'?",
      prioritty: "unknown field; did you mean 'priority'?",
      stranger_by_far: `unknown field; known are ${Object.keys(ENQUEUE).map(toWireName).join(', ')}`,
    });
  });

  it('of other queue libraries get the name used here', () => {
    expect(complaintsOf({ topic: 'a', payload: 1, attempts: 3, jobId: 'k', repeat: {} })).toMatchObject({
      attempts: "unknown field; did you mean 'max_retries', which does not count the first attempt?",
      jobId: "unknown field; did you mean 'unique_key'?",
      repeat: 'unknown field; use @JobSchedule or jobs.schedules.upsert for recurring jobs',
    });
  });
});
