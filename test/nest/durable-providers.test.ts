import { Inject, Injectable, Scope } from '@nestjs/common';
import type { ContextId, ContextIdStrategy, HostComponentInfo } from '@nestjs/core';
import { ContextIdFactory, ModuleRef, REQUEST } from '@nestjs/core';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';

const atOnce = { type: 'fixed', delay: 0 } as const;

interface Tenant {
  tenant: string;
}

/** One context for each tenant, as an application with several would have it. */
class TenantStrategy implements ContextIdStrategy<JobContext<Tenant>> {
  private readonly contexts = new Map<string, ContextId>();

  attach(contextId: ContextId, { payload: { tenant } }: JobContext<Tenant>) {
    const shared = this.contexts.get(tenant) ?? ContextIdFactory.create();
    this.contexts.set(tenant, shared);
    return {
      resolve: (info: HostComponentInfo) => (info.isTreeDurable ? shared : contextId),
      payload: { tenant, topic: 'never seen: the job has its own' },
    };
  }
}

let connections = 0;

@Injectable({ scope: Scope.REQUEST, durable: true })
class TenantConnection {
  readonly number = (connections += 1);
  readonly tenant: string;

  constructor(@Inject(REQUEST) request: Tenant) {
    this.tenant = request.tenant;
  }
}

/** Durable as a whole: one instance for each tenant. */
@Injectable()
class TenantJobs {
  constructor(private readonly connection: TenantConnection) {}

  @JobHandler('durable')
  durable(): unknown {
    return { tenant: this.connection.tenant, connection: this.connection.number };
  }
}

/** One instance for each attempt, with a durable provider in it. */
@Injectable({ scope: Scope.REQUEST })
class MixedJobs {
  constructor(
    private readonly connection: TenantConnection,
    @Inject(REQUEST) private readonly request: JobContext<Tenant> & Tenant,
  ) {}

  @JobHandler('mixed')
  mixed(job: JobContext): unknown {
    const { topic, tenant } = this.request;
    return { isJob: this.request === job, topic, tenant, connection: this.connection.number };
  }
}

describe('a job as the request of scoped providers', () => {
  const apps = useApps(sqliteMemory);

  it('is what they are given as REQUEST, in each attempt anew', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Trace {
      constructor(@Inject(REQUEST) readonly job: JobContext) {}
    }
    const traces: Trace[] = [];
    @Injectable()
    class TracedJobs {
      constructor(private readonly trace: Trace) {}

      @JobHandler('traced', { backoff: atOnce })
      traced(job: JobContext): boolean {
        traces.push(this.trace);
        if (job.attempt === 1) throw new Error('once more');
        return this.trace.job === job;
      }
    }
    const app = await apps.start({ providers: [Trace, TracedJobs] });
    const { id } = await app.jobs.enqueue('traced', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: true });
    expect(traces.map(({ job }) => job.attempt)).toEqual([1, 2]);
    expect(new Set(traces).size).toBe(2);
  });

  it('leads to the same instances when a handler resolves providers by it', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Basket {}
    @Injectable()
    class BasketJobs {
      constructor(
        private readonly basket: Basket,
        private readonly moduleRef: ModuleRef,
      ) {}

      @JobHandler('resolve')
      async resolve(job: JobContext): Promise<boolean> {
        return (await this.moduleRef.resolve(Basket, ContextIdFactory.getByRequest(job))) === this.basket;
      }
    }
    const app = await apps.start({ providers: [Basket, BasketJobs] });
    const { id } = await app.jobs.enqueue('resolve', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: true });
  });
});

describe('durable providers of handlers', () => {
  const apps = useApps(sqliteMemory);
  const blue = { tenant: 'blue' };
  const red = { tenant: 'red' };

  beforeEach(() => {
    connections = 0;
    ContextIdFactory.apply(new TenantStrategy());
  });
  // What it says in the type is the only way to set it; nothing unsets it.
  afterEach(() => ContextIdFactory.apply(undefined as never));

  it('are shared by the jobs of one context, and get what the strategy says as REQUEST', async () => {
    const app = await apps.start({ providers: [TenantConnection, TenantJobs] });
    const results: unknown[] = [];
    for (const payload of [blue, red, blue]) {
      const { id } = await app.jobs.enqueue('durable', payload);
      results.push((await app.jobAfter('completed', id)).result);
    }
    expect(results).toEqual([
      { tenant: 'blue', connection: 1 },
      { tenant: 'red', connection: 2 },
      { tenant: 'blue', connection: 1 },
    ]);
  });

  it('serve request-scoped handlers, which have the job as REQUEST with what the strategy adds', async () => {
    const app = await apps.start({ providers: [TenantConnection, MixedJobs] });
    for (const round of [1, 2]) {
      const { id } = await app.jobs.enqueue('mixed', { ...blue, round });
      expect(await app.jobAfter('completed', id)).toMatchObject({
        result: { isJob: true, topic: 'mixed', tenant: 'blue', connection: 1 },
      });
    }
  });
});
