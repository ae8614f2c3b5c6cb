/** @matrix nest-11 */

import { Injectable, Scope } from '@nestjs/common';
import type { JobEvent } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError, OnJobEvent } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import { textLike, textWith } from './support/matchers.js';

const Work = defineJob<number>('work');

@Injectable()
class Listener {
  readonly seen: string[] = [];

  @OnJobEvent('completed', Work)
  onWork(event: Extract<JobEvent, { type: 'completed' }>): void {
    this.seen.push(`work ${event.attempt}`);
  }

  @OnJobEvent('completed')
  @OnJobEvent('failed', 'fail')
  async onAny({ type, topic }: JobEvent): Promise<void> {
    await Promise.resolve();
    this.seen.push(`${type} ${topic}`);
  }

  // @ts-expect-error -- a completed job has no `error`
  @OnJobEvent('completed')
  wrong(event: Extract<JobEvent, { type: 'failed' }>): void {
    this.seen.push(event.error.message);
  }
}
// The rejected declaration above would throw for each completed job.
delete (Listener.prototype as Partial<Listener>).wrong;

@Injectable()
class FailingListener {
  @OnJobEvent('completed')
  throws(): void {
    throw new Error('at once');
  }

  @OnJobEvent('completed')
  async rejects(): Promise<void> {
    await Promise.resolve();
    throw new Error('later');
  }
}

describe.each([postgres, sqliteFile])('@OnJobEvent on $label', (kind) => {
  const apps = useApps(kind);
  const handlers = {
    work: () => null,
    other: () => null,
    fail: () => Promise.reject(new Error('no connection')),
  };

  it('receives the events of its type and topic', async () => {
    const app = await apps.start({ options: { maxRetries: 0 }, providers: [Listener], handlers });
    for (const topic of ['work', 'other', 'fail'] as const) {
      const { id } = await app.jobs.enqueue(topic, 1);
      await app.event(topic === 'fail' ? 'failed' : 'completed', id);
    }
    expect(app.module.get(Listener).seen).toEqual(['work 1', 'completed work', 'completed other', 'failed fail']);
  });

  it('logs what a method throws or rejects with, and other listeners still receive the event', async () => {
    const app = await apps.start({ providers: [FailingListener, Listener], handlers });
    const { id } = await app.jobs.enqueue('work', 1);
    await app.event('completed', id);
    await until(() => apps.log.of('error').length === 2);
    expect(apps.log.of('error')).toEqual([
      textWith('FailingListener.throws threw: at once'),
      textWith('FailingListener.rejects threw: later'),
    ]);
    expect(app.module.get(Listener).seen).toContain('work 1');
    expect((await app.job(id)).status).toBe('completed');
  });

  it('receives nothing of another application, and nothing twice', async () => {
    const worker = await apps.start({ providers: [Listener, { provide: 'ALIAS', useExisting: Listener }], handlers });
    const producer = await apps.start({ options: { role: 'producer' }, providers: [Listener] });
    const { id } = await producer.jobs.enqueue('work', 1);
    await worker.event('completed', id);
    expect(worker.module.get(Listener).seen).toEqual(['work 1', 'completed work']);
    expect(producer.module.get(Listener).seen).toEqual([]);
  });
});

describe('@OnJobEvent with a mistake', () => {
  const apps = useApps(sqliteFile);

  it('does not let the application start for an unknown event, and suggests the nearest one', async () => {
    class Typo {
      // @ts-expect-error -- no event has this name
      @OnJobEvent('complete')
      onComplete(): void {}
    }
    const error = await apps.refusal({ providers: [Typo] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toBe("@OnJobEvent: on Typo.onComplete: unknown event 'complete'; did you mean 'completed'?");
  });

  it('does not let the application start for an invalid topic, or on a provider of a request or a transient one', async () => {
    class NoTopic {
      @OnJobEvent('completed', '')
      onComplete(): void {}
    }
    expect((await apps.refusal({ providers: [NoTopic] })).message).toMatch(/^topic of NoTopic.onComplete: expected/);
    @Injectable({ scope: Scope.REQUEST })
    class Scoped {
      @OnJobEvent('completed')
      onComplete(): void {}
    }
    expect((await apps.refusal({ providers: [Scoped] })).message).toEqual(
      textLike(/^@OnJobEvent: on Scoped.onComplete: the provider is created for each request/),
    );
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient {
      @OnJobEvent('completed')
      onComplete(): void {}
    }
    expect((await apps.refusal({ providers: [Transient] })).message).toEqual(
      textLike(/^@OnJobEvent: on Transient.onComplete: the provider is created for each request/),
    );
  });

  it('is rejected on anything but a method', () => {
    const decorate = OnJobEvent('completed') as (target: object, name: string, descriptor?: object) => void;
    expect(() => decorate(class {}, 'method', { value: () => null })).toThrow(InvalidOptionsError);
    expect(() => decorate({}, 'field')).toThrow('expected a method of the class, got a property or an accessor');
  });
});
