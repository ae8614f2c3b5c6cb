/** @matrix nest-11 */

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

/** Uses one context per tenant, as multi-tenant applications do. */
class TenantStrategy implements ContextIdStrategy<JobContext<Tenant>> {
  private readonly contexts = new Map<string, ContextId>();

  attach(contextId: ContextId, { payload: { tenant } }: JobContext<Tenant>) {
    const shared = this.contexts.get(tenant) ?? ContextIdFactory.create();
    this.contexts.set(tenant, shared);
    return {
      resolve: (info: HostComponentInfo) => (info.isTreeDurable ? shared : contextId),
      payload: { tenant, topic: 'overridden by the job' },
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

/** Durable: one instance per tenant. */
@Injectable()
class TenantJobs {
  constructor(private readonly connection: TenantConnection) {}

  @JobHandler('durable')
  durable(): unknown {
    return { tenant: this.connection.tenant, connection: this.connection.number };
  }
}

/** One instance per attempt, with a durable dependency. */
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

describe('the job as REQUEST of scoped providers', () => {
  const apps = useApps(sqliteMemory);

  it('is injected in each attempt, which has its own instance', async () => {
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
        if (job.attempt === 1) throw new Error('first attempt');
        return this.trace.job === job;
      }
    }
    const app = await apps.start({ providers: [Trace, TracedJobs] });
    const { id } = await app.jobs.enqueue('traced', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: true });
    expect(traces.map(({ job }) => job.attempt)).toEqual([1, 2]);
    expect(new Set(traces).size).toBe(2);
  });

  it('resolves the same instances by ModuleRef', async () => {
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
  // ContextIdFactory has no method that removes a strategy.
  afterEach(() => ContextIdFactory.apply(undefined as never));

  it('are shared by the jobs of one context and receive the payload of the strategy as REQUEST', async () => {
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

  it('are injected into request-scoped handlers, whose REQUEST is the job with the payload of the strategy', async () => {
    const app = await apps.start({ providers: [TenantConnection, MixedJobs] });
    for (const round of [1, 2]) {
      const { id } = await app.jobs.enqueue('mixed', { ...blue, round });
      expect(await app.jobAfter('completed', id)).toMatchObject({
        result: { isJob: true, topic: 'mixed', tenant: 'blue', connection: 1 },
      });
    }
  });
});
