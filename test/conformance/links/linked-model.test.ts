/** @slow */

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { NewJob } from 'nestjs-jobs';
import { JobsEngine, JobStateError } from 'nestjs-jobs';
import type { Claim, Outcome } from '../../../lib/core/job.js';
import { claim, outcomes, rescue, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { isMatrix } from '../../support/tier.js';
import type { Mode, ModelJob } from './link-model.js';
import { LinkModel } from './link-model.js';

const SEQUENCES = Number(process.env.JOBS_MODEL_SEQUENCES ?? (isMatrix ? 150 : 15));
/** The same seed for all databases: they run the same sequences and must match the same model. */
const SEED = Number(process.env.JOBS_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const SEQUENCE_MAX_MS = 8_000;
const ENDS: readonly Outcome[] = [
  outcomes.completed(),
  outcomes.completed(),
  outcomes.completed('1'),
  outcomes.failed(),
  outcomes.retry(),
  outcomes.snooze(),
  outcomes.cancelled(),
];
const CALLBACKS = [
  ['onSuccess', 'cancel'],
  ['onFinish', 'run'],
  ['onFailure', 'failure'],
] as const;

const pick = fc.nat(50);
const picks = fc.array(pick, { minLength: 1, maxLength: 4 });
const newJob = fc.record({
  /** Parents: an even number picks from this call, an odd one from the stored jobs. */
  parents: fc.oneof(fc.constant<number[]>([]), fc.array(pick, { maxLength: 3 })),
  mode: fc.constantFrom('cancel' as const, 'cancel' as const, 'run' as const, 'wait' as const),
  maxRetries: fc.nat(1),
});
const newJobs = fc.array(newJob, { minLength: 1, maxLength: 6, size: 'max' });
const settled = fc.record({ pick, outcome: fc.constantFrom(...ENDS) });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('insert' as const), jobs: newJobs }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('group' as const), jobs: fc.array(newJob, { maxLength: 3 }) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 8 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      ends: fc.array(settled, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('completeTx' as const), pick, commits: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'delete' as const), picks }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('requeue' as const, 'requeueDependants' as const, 'rescue' as const),
      pick,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('prune' as const, 'repair' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type NewNode = Extract<Step, { do: 'insert' }>['jobs'][number];

describe.each(storeKinds())('dependencies and groups beside a model, on $label', (kind) => {
  const fixture = useStore(kind);
  const numRuns = kind.isMain ? SEQUENCES : Math.ceil(SEQUENCES / 5);
  /** What a worker holds. */
  let claims: Map<string, Claim>;
  let model: LinkModel;

  it(
    `agree with it in ${numRuns} sequences, seed ${SEED}`,
    async () => {
      const property = fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 40, size: 'max' }), run);
      // Before the test times out: a failure is reported as far as it is shrunk by then.
      const limits = { interruptAfterTimeLimit: numRuns * SEQUENCE_MAX_MS, markInterruptAsFailure: true };
      await fc.assert(property, { numRuns, seed: SEED, ...limits });
    },
    (numRuns + 2) * SEQUENCE_MAX_MS,
  );

  async function run(steps: readonly Step[]): Promise<void> {
    for (const table of ['_jobs', '_jobs_links', '_jobs_groups']) await fixture.sql(`DELETE FROM ${table}`);
    model = new LinkModel();
    claims = new Map();
    for (const each of steps) {
      await act(each);
      await compare();
    }
    await finish();
  }

  /** Each job that is left ends, or waits for a failed parent that somebody may re-queue. */
  async function finish(): Promise<void> {
    await act({ do: 'repair' });
    for (let isBusy = true; isBusy;) {
      const ends = model.running().map((_job, index) => ({ pick: index, outcome: outcomes.completed() }));
      if (ends.length > 0) await act({ do: 'settle', ends });
      isBusy = model.due().length > 0;
      if (isBusy) await act({ do: 'claim', limit: 1_000 });
      await compare();
    }
    const blocked = new Set(jobs().flatMap(({ id, isBlocked }) => (isBlocked ? [id] : [])));
    const parentsOf = (id: string): string[] =>
      model.links.filter(({ child, outcome }) => child === id && outcome === null).map(({ parent }) => parent);
    const isHolding = (parent: string): boolean =>
      blocked.has(parent) ||
      isFailed(model.jobs.get(parent)) ||
      parentsOf(parent).some((member) => blocked.has(member));
    const waiting = [
      ...blocked,
      ...[...model.groups.values()].flatMap(({ id, isFinished }) => (isFinished ? [] : [id])),
    ];
    assert.deepEqual(
      waiting.filter((id) => !parentsOf(id).some(isHolding)),
      [],
    );
  }

  async function act(each: Step): Promise<void> {
    switch (each.do) {
      case 'insert':
        return insert(each.jobs);
      case 'group':
        return insertGroup(each.jobs);
      case 'claim':
        return claimSome(each.limit);
      case 'settle':
        return settle(each.ends);
      case 'completeTx':
        return completeTx(each.pick, each.commits);
      case 'cancel':
      case 'delete':
        return endByHand(each.do, each.picks);
      case 'requeue':
      case 'requeueDependants':
        return requeue(each.do, each.pick);
      case 'rescue':
        return rescueOne(each.pick);
      case 'prune':
        return prune();
      case 'repair':
        return repair();
    }
  }

  const engine = (): JobsEngine => new JobsEngine({ store: fixture.store, role: 'producer' });
  const some = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(list.length, 1)];
  const jobs = (): ModelJob[] => [...model.jobs.values()];

  /** The jobs of a call, and the parents of each: indexes of this call, or ids. */
  function toCall(nodes: readonly NewNode[]): { call: NewJob[]; parents: (number | string)[][] } {
    const stored = jobs().map(({ id }) => id);
    const parents = nodes.map((node, index) => {
      const named = node.parents.map((each) => (each % 2 === 0 && index > 0 ? each % index : some(stored, each)));
      return [...new Set(named.filter((parent) => parent !== undefined))];
    });
    const call = nodes.map(({ mode, maxRetries }, index): NewJob => {
      const dependsOn = parents[index]!.map((parent) => (typeof parent === 'number' ? `r${parent}` : parent));
      const linked = dependsOn.length > 0 ? { dependsOn, onParentFailure: mode } : {};
      return { ref: `r${index}`, topic: TOPIC, payload: index, maxRetries, ...linked };
    });
    return { call, parents };
  }

  function toModel(nodes: readonly NewNode[], parents: readonly (number | string)[][], ids: readonly string[]): void {
    ids.forEach((id, index) => model.insert(id, nodes[index]!.maxRetries));
    parents.forEach((each, index) =>
      each.forEach((parent) => {
        model.link(typeof parent === 'number' ? ids[parent]! : parent, ids[index]!, nodes[index]!.mode);
      }),
    );
    endStored(parents.flat().filter((parent) => typeof parent === 'string'));
  }

  function endStored(ids: readonly string[]): void {
    const ended = ids.flatMap((id) => {
      const { status } = model.jobs.get(id)!;
      return status === 'pending' || status === 'processing' ? [] : [{ id, as: status }];
    });
    model.end(ended);
  }

  async function insert(nodes: readonly NewNode[]): Promise<void> {
    const { call, parents } = toCall(nodes);
    const stored = await engine().enqueueMany(call);
    toModel(
      nodes,
      parents,
      stored.map(({ id }) => id),
    );
  }

  async function insertGroup(nodes: readonly NewNode[]): Promise<void> {
    const { call, parents } = toCall(nodes);
    const callbacks = CALLBACKS.map(([name]) => [name, { topic: TOPIC, payload: name }]);
    const group = await engine().groups.enqueue(call, Object.fromEntries(callbacks) as object);
    const ids = group.jobs.map(({ id }) => id);
    const sql = `SELECT child_id, mode FROM _jobs_links WHERE parent_id = '${group.id}' ORDER BY mode`;
    const rows = Array.from(await fixture.sql<{ child_id: string; mode: Mode }>(sql));
    assert.deepEqual(rows.map(({ mode }) => mode).sort(), CALLBACKS.map(([, mode]) => mode).sort());
    model.groups.set(group.id, { id: group.id, isFinished: nodes.length === 0 });
    rows.forEach(({ child_id: id, mode }) => {
      model.insert(id, 3);
      model.link(group.id, id, mode);
    });
    ids.forEach((id) => model.link(id, group.id, 'member'));
    toModel(nodes, parents, ids);
    if (nodes.length === 0) model.end([model.groupEnd(group.id)]);
  }

  async function claimSome(limit: number): Promise<void> {
    await fixture.store.links.idle();
    const claimed = await claim(fixture.store, { limit });
    const due = model.due();
    assert.equal(claimed.length, Math.min(limit, due.length));
    for (const token of claimed) {
      const job = model.jobs.get(token.id)!;
      assert(due.includes(job), `job ${token.id} was claimed, and is not due`);
      Object.assign(job, { status: 'processing', attempt: job.attempt + 1 });
      assert.equal(token.attempt, job.attempt);
      claims.set(job.id, token);
    }
  }

  async function settle(ends: readonly { readonly pick: number; readonly outcome: Outcome }[]): Promise<void> {
    const running = model.running();
    const byJob = new Map(ends.flatMap((end) => (running.length > 0 ? [[some(running, end.pick)!, end.outcome]] : [])));
    if (byJob.size === 0) return;
    const settlements = [...byJob].map(([job, outcome]) => settlement(claims.get(job.id)!, outcome));
    const results = await fixture.store.settle(settlements);
    await fixture.store.links.idle();
    assert(results.every(({ applied }) => applied));
    model.end([...byJob].flatMap(([job, outcome]) => settleOne(job, outcome)));
  }

  function settleOne(job: ModelJob, outcome: Outcome): { id: string; as: 'completed' | 'failed' | 'cancelled' }[] {
    const isSpent = job.retries >= job.maxRetries;
    const kind = outcome.kind === 'retry' && isSpent ? 'failed' : outcome.kind;
    if (outcome.kind === 'retry' || outcome.kind === 'failed') job.lastError = 'no luck';
    if (job.isCancelRequested) {
      job.status = 'cancelled';
    } else if (kind === 'completed' || kind === 'failed' || kind === 'cancelled') {
      job.status = kind;
    } else {
      Object.assign(job, { status: 'pending', retries: job.retries + (kind === 'retry' ? 1 : 0) });
    }
    const { id, status } = job;
    return status === 'pending' || status === 'processing' ? [] : [{ id, as: status }];
  }

  async function completeTx(index: number, commits: boolean): Promise<void> {
    const job = some(model.running(), index);
    if (!job) return;
    let owed: Awaited<ReturnType<typeof fixture.store.completeTx>> = { released: [], cancelled: [] };
    const rolledBack = new Error('rolled back');
    const end: unknown = await fixture.app
      .transaction(async (manager) => {
        owed = await fixture.store.completeTx(manager, claims.get(job.id)!, null);
        if (!commits) throw rolledBack;
      })
      .catch((error: unknown) => error);
    if (job.isCancelRequested) {
      assert(end instanceof JobStateError);
    } else {
      assert.equal(end, commits ? undefined : rolledBack);
      if (commits) {
        fixture.store.links.report(owed);
        await fixture.store.links.idle();
        model.end(settleOne(job, outcomes.completed()));
      }
    }
  }

  async function endByHand(verb: 'cancel' | 'delete', indexes: readonly number[]): Promise<void> {
    const chosen = [...new Set(indexes.flatMap((index) => some(jobs(), index) ?? []))];
    const isEnding = ({ status }: ModelJob): boolean =>
      verb === 'delete' ? status !== 'processing' : status === 'pending' || status === 'processing';
    const results = await fixture.store[verb](chosen.map(({ id }) => id));
    const changed = chosen.filter(isEnding);
    assert.deepEqual(
      results
        .filter((result) => result.changed)
        .map(({ id }) => id)
        .sort(),
      changed.map(({ id }) => id).sort(),
    );
    if (verb === 'delete') {
      model.remove(changed.map(({ id }) => id));
      return;
    }
    const waiting = changed.filter(({ status }) => status === 'pending');
    changed.forEach((job) => (job.isCancelRequested = true));
    waiting.forEach((job) => Object.assign(job, { status: 'cancelled', isBlocked: false }));
    model.end(waiting.map(({ id }) => ({ id, as: 'cancelled' as const })));
  }

  async function requeue(verb: 'requeue' | 'requeueDependants', index: number): Promise<void> {
    const job = some(
      jobs().filter(({ status }) => status === 'failed' || status === 'cancelled'),
      index,
    );
    if (!job) return;
    if (verb === 'requeue') {
      await fixture.store.requeue([job.id]);
      model.requeue(job);
      return;
    }
    const { result, dependants } = await fixture.store.links.requeueDependants(job.id);
    assert(result.changed);
    assert.deepEqual(dependants.map(({ id }) => id).sort(), model.requeueDependants(job).sort());
  }

  /** The worker of a job dies. */
  async function rescueOne(index: number): Promise<void> {
    const job = some(model.running(), index);
    if (!job) return;
    await fixture.store.markStarted([claims.get(job.id)!]);
    await fixture.expire(job.id);
    assert.deepEqual(
      (await rescue(fixture.store, 10)).map(({ id }) => id),
      [job.id],
    );
    const lastError = (await fixture.job(job.id)).lastError;
    const ended = settleOne(job, outcomes.retry());
    Object.assign(job, { lastError, retries: ended.length > 0 ? job.retries : job.retries });
    model.end(ended);
  }

  async function prune(): Promise<void> {
    const { removed } = await fixture.store.prune(
      { completed: 0, failed: 0, cancelled: 0 },
      { after: null, rows: 1_000 },
    );
    assert.equal(removed, model.prune());
    await fixture.store.groups.prune(null);
    for (const { id, isFinished } of model.groups.values()) {
      const hasJobs = model.links.some(
        ({ parent, child }) => (parent === id && model.jobs.has(child)) || (child === id && model.jobs.has(parent)),
      );
      assert.equal((await fixture.store.groups.get(id)) === undefined, isFinished && !hasJobs);
    }
  }

  async function repair(): Promise<void> {
    const blocked = model.jobs.size > 0 ? jobs().filter(({ isBlocked }) => isBlocked) : [];
    const { changes } = await fixture.store.links.repair(null);
    model.repair();
    const freed = blocked.filter(({ isBlocked }) => !isBlocked).map(({ id }) => id);
    assert.deepEqual([...changes.released, ...changes.cancelled].map(({ id }) => id).sort(), freed.sort());
  }

  async function compare(): Promise<void> {
    await fixture.store.links.idle();
    const ids = jobs().map(({ id }) => id);
    const rows = new Map((await fixture.store.find(ids)).map((job) => [job.id, job]));
    const waiting = new Map((await fixture.store.links.blocked(ids)).map(({ id, waitingOn }) => [id, waitingOn]));
    for (const job of jobs()) {
      const row = rows.get(job.id);
      const errors = model.newErrors.get(job.id);
      if (errors?.has(row?.lastError ?? '')) job.lastError = row!.lastError;
      const { status, attempt, retries, lastError } = job;
      assert.deepEqual(row && pickMembers(row, waiting.get(job.id) ?? 0), {
        id: job.id,
        status,
        attempt,
        retries,
        lastError,
        waitingOn: model.waitingOn(job),
      });
    }
    model.newErrors.clear();
    const [{ count } = { count: 0 }] = await fixture.sql<{ count: number }>('SELECT count(*) AS count FROM _jobs');
    assert.equal(Number(count), ids.length);
    for (const { id, isFinished } of model.groups.values()) {
      const group = await fixture.store.groups.get(id);
      // A finished group without jobs is deleted.
      if (group) assert.equal(group.finished !== null, isFinished, `the end of group ${id}`);
    }
  }
});

function pickMembers(
  { id, status, attempt, retries, lastError }: Pick<ModelJob, 'id' | 'status' | 'attempt' | 'retries' | 'lastError'>,
  waitingOn: number,
): object {
  return { id, status, attempt, retries, lastError, waitingOn };
}

function isFailed(job: ModelJob | undefined): boolean {
  return job?.status === 'failed' || job?.status === 'cancelled';
}
