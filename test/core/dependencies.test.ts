import type { JobDependencies } from '../../lib/core/dependencies.js';
import { readDependencies } from '../../lib/core/dependencies.js';
import { InvalidOptionsError } from '../../lib/core/errors.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

const ID = '01890000-0000-7000-8000-000000000000';

function catchError(jobs: readonly JobDependencies[]): InvalidOptionsError {
  const error = captureThrown(() => readDependencies(jobs));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('the dependencies of a call', () => {
  it('name refs of the call, earlier or later, and ids of stored jobs', () => {
    const jobs: JobDependencies[] = [
      { ref: 'a', dependsOn: ['b'] },
      { ref: 'b' },
      { dependsOn: ['a', ID.toUpperCase()], onParentFailure: 'run' },
    ];
    expect(readDependencies(jobs)).toEqual([
      { child: 0, parent: 1, ref: 'b', mode: 'cancel', path: 'jobs[0].dependsOn[0]' },
      { child: 2, parent: 0, ref: 'a', mode: 'run', path: 'jobs[2].dependsOn[0]' },
      { child: 2, parent: ID, ref: null, mode: 'run', path: 'jobs[2].dependsOn[1]' },
    ]);
  });

  it('count a parent once that is named twice', () => {
    expect(readDependencies([{ ref: 'a' }, { dependsOn: ['a', 'a'] }])).toHaveLength(1);
  });

  it.each<[string, JobDependencies[], string]>([
    ['a cycle', [{ ref: 'x' }, { ref: 'a', dependsOn: ['b', 'x'] }, { ref: 'b', dependsOn: ['a'] }], 'a → b → a'],
    ['a job that waits for itself', [{ ref: 'a', dependsOn: ['a'] }], 'a → a'],
    [
      'an unknown ref',
      [{ ref: 'resize' }, { dependsOn: ['resise'] }],
      "jobs[1].dependsOn[0]: no job of this call has the ref 'resise'",
    ],
    ['an unknown ref like another one', [{ ref: 'resize' }, { dependsOn: ['resise'] }], "did you mean 'resize'?"],
    ['a repeated ref', [{ ref: 'a' }, { ref: 'a' }], "jobs[1].ref: 'a' is the ref of jobs[0] too"],
    ['an empty ref', [{ ref: '' }], 'jobs[0].ref'],
    ['a list that is none', [{ dependsOn: 'a' as unknown as string[] }], 'jobs[0].dependsOn'],
    ['a name that is no text', [{ dependsOn: [7 as unknown as string] }], 'jobs[0].dependsOn[0]'],
    ['a wrong mode', [{ onParentFailure: 'fail' as 'run' }], 'jobs[0].onParentFailure'],
    ['too many parents', [{ dependsOn: new Array<string>(1_001).fill(ID) }], 'at most 1000 parents, got 1001'],
    [
      'too many dependencies',
      Array.from({ length: 51 }, () => ({ dependsOn: new Array<string>(1_000).fill(ID) })),
      'at most 50000 dependencies in a call, got 51000',
    ],
    ['too many jobs', new Array<JobDependencies>(10_001).fill({}), 'at most 10000 jobs'],
  ])('refuse %s', (_name, jobs, text) => {
    expect(catchError(jobs).message).toContain(text);
  });

  it('may form a chain of 10,000 jobs', () => {
    const chain = Array.from({ length: 10_000 }, (_, index) => ({
      ref: `job-${index}`,
      ...(index < 9_999 ? { dependsOn: [`job-${index + 1}`] } : {}),
    }));
    expect(readDependencies(chain)).toHaveLength(9_999);
    expect(catchError([...chain.slice(0, -1), { ref: 'job-9999', dependsOn: ['job-0'] }]).message).toMatch(/→ job-0$/);
  });
});
