import fc from 'fast-check';
import type { JobInsert } from '../../../lib/store/jobs/job-records.js';
import type { ClaimToken, Outcome } from '../../../lib/core/job.js';
import { newJob, TOPIC, WORKER } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const KEYS = [null, 'a', 'b', 'c'] as const;
const PRIORITIES = [-1, 0];
const FAILURE = { message: 'no', stack: null };
const ENDS: readonly Outcome[] = [
  { kind: 'completed', result: null },
  { kind: 'retry', delayMs: 0, failure: FAILURE },
  { kind: 'snooze', delayMs: 0 },
  { kind: 'release', delayMs: null },
  { kind: 'cancelled' },
];

type Step =
  | { readonly do: 'insert'; readonly key: (typeof KEYS)[number]; readonly priority: number }
  | { readonly do: 'claim'; readonly limit: number }
  | { readonly do: 'end'; readonly index: number; readonly outcome: Outcome };

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      key: fc.constantFrom(...KEYS),
      priority: fc.constantFrom(...PRIORITIES),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('end' as const), index: fc.nat(20), outcome: fc.constantFrom(...ENDS) }),
  },
);
const anyLimits = fc.record({
  total: fc.option(fc.integer({ min: 1, max: 5 }), { nil: null }),
  perKey: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null }),
});

/** What the table should hold. */
interface Model {
  readonly waiting: Map<string, JobInsert>;
  readonly running: Map<string, { readonly token: ClaimToken; readonly job: JobInsert }>;
}

describe.each(storeKinds())('claims of a limited topic beside a model, on $label', (kind) => {
  const fixture = useStore(kind);

  async function run(limits: { total: number | null; perKey: number | null }, steps: readonly Step[]): Promise<void> {
    const { store } = fixture;
    const model: Model = { waiting: new Map(), running: new Map() };
    await fixture.sql('DELETE FROM _jobs');
    await fixture.sql('DELETE FROM _jobs_topics');
    await fixture.sql(
      `INSERT INTO _jobs_topics (topic, is_limited, limit_total, limit_key) VALUES ('${TOPIC}', true, ${limits.total}, ${limits.perKey})`,
    );
    const countOf = (key: string): number =>
      [...model.running.values()].filter(({ job }) => job.concurrencyKey === key).length;
    const mayStart = ({ concurrencyKey }: JobInsert): boolean =>
      (limits.total === null || model.running.size < limits.total) &&
      (concurrencyKey === null || limits.perKey === null || countOf(concurrencyKey) < limits.perKey);

    for (const step of steps) {
      if (step.do === 'insert') {
        const job = newJob({ concurrencyKey: step.key, priority: step.priority });
        await store.insert([job]);
        model.waiting.set(job.id, job);
      } else if (step.do === 'claim') {
        const request = {
          from: 'topic' as const,
          topic: TOPIC,
          priorities: PRIORITIES,
          hasKeyed: true,
          leaseMs: 30_000,
          worker: WORKER,
          handOverMs: 100,
        };
        const { claims } = await store.claim({ ...request, limit: step.limit });
        expect(claims.length).toBeLessThanOrEqual(step.limit);
        for (const token of claims) {
          const job = model.waiting.get(token.id);
          expect(job).toBeDefined();
          expect(mayStart(job!)).toBe(true);
          model.waiting.delete(token.id);
          model.running.set(token.id, { token, job: job! });
        }
        // It leaves a job only for want of slots or because of a limit.
        const left = [...model.waiting.values()].filter(mayStart);
        expect(claims.length === step.limit ? [] : left).toEqual([]);
      } else {
        const entry = [...model.running.values()][step.index % Math.max(1, model.running.size)];
        if (entry) {
          const outcome = step.outcome;
          const [settled] = await store.settle([{ token: entry.token, outcome, durationMs: 1 }]);
          expect(settled!.applied).toBe(true);
          model.running.delete(entry.token.id);
          if (settled!.status === 'pending') {
            model.waiting.set(entry.job.id, entry.job);
          }
        }
      }
    }
    expect(
      (await store.reports.counts(null)).topics.map(({ pending, processing }) => ({ pending, processing })),
    ).toEqual(
      model.waiting.size + model.running.size === 0
        ? expect.anything()
        : [{ pending: model.waiting.size, processing: model.running.size }],
    );
  }

  it('start each job that may start, and no other', async () => {
    const property = fc.asyncProperty(anyLimits, fc.array(anyStep, { minLength: 5, maxLength: 40, size: 'max' }), run);
    await fc.assert(property, { numRuns: 50, endOnFailure: true });
  });
});
