import { QueueUnavailableError } from '../../../lib/core/errors.js';
import type { Audience, StoreHints } from '../../../lib/store/runtime/store-hints.js';
import type { Dice } from '../../chaos/dice.js';
import type { EventQueue, Machine } from './event-queue.js';
import type { FaultRates } from './plan.js';
import type { Connection } from './simulated-store.js';

/** What happens to one statement. */
interface Fate {
  readonly thereMs: number;
  readonly backMs: number;
  readonly isRefused: boolean;
  readonly isAnswerLost: boolean;
}

const SLOW_MS = [50, 900] as const;
const COSTLY_MS = [6, 40] as const;
const STALL_MS = [100, 2_500] as const;
const HINT_MS = [0, 20] as const;

/** The connections of all processes to the table, and the notifications between them. */
export class Network {
  /** While true, the only faults are lost notifications. */
  isCalm = false;
  /** The process whose statement the table executes. */
  actor: string | undefined;
  private announced = 0;
  private readonly listeners = new Map<Machine, StoreHints>();
  private readonly machines: Machine[] = [];
  private readonly outageEndsMs = new Map<string, number>();

  constructor(
    private readonly events: EventQueue,
    private readonly dice: Dice,
    private readonly faultRates: FaultRates,
    private readonly isMild: boolean,
    private readonly onFault: (fault: 'refused' | 'answer lost' | 'hint lost') => void,
  ) {}

  /** Cuts the connection of a process for `ms`. */
  cut(machine: Machine, ms: number): void {
    this.outageEndsMs.set(machine.name, this.events.nowMs + ms);
  }

  connectionOf(machine: Machine): Connection {
    const { dice, faultRates } = this;
    return {
      ask: (verb, work) => this.send(machine, this.fateOf(machine, verb), work),
      meetsLock: () => !this.isCalm && dice.chance(faultRates.locked),
      tookMs: () => (dice.chance(faultRates.costly) ? dice.whole(...COSTLY_MS) : 0),
      announce: (news, audience) => this.announce(machine, news, audience),
      listen: (hints) => {
        this.listeners.set(machine, hints);
        hints.onListening(true, this.machines.push(machine) - 1);
        return () => this.listeners.delete(machine);
      },
      isOpen: (backend) => this.listeners.has(this.machines[backend]!) && !this.machines[backend]!.isDead,
    };
  }

  /** A sent statement reaches the table, even when its sender crashes. */
  private send<T>(machine: Machine, fate: Fate, work: () => T): Promise<T> {
    if (fate.isRefused || fate.isAnswerLost) {
      this.onFault(fate.isRefused ? 'refused' : 'answer lost');
    }
    return new Promise((resolve, reject) => {
      this.events.after(fate.thereMs, () => {
        const answer = fate.isRefused ? noAnswer(this.dice.chance(0.5)) : this.execute(machine, work);
        const isLost = fate.isAnswerLost || answer instanceof Error;
        const received = answer instanceof Error ? answer : noAnswer(true);
        const arrive = isLost ? () => reject(received) : () => resolve(answer);
        this.events.after(fate.backMs, arrive, machine);
      });
    });
  }

  private execute<T>(machine: Machine, work: () => T): T | Error {
    this.actor = machine.name;
    try {
      return work();
    } catch (error) {
      return error as Error;
    } finally {
      this.actor = undefined;
    }
  }

  private fateOf(machine: Machine, verb: string): Fate {
    const { dice, faultRates } = this;
    const thereMs = dice.next() * 3;
    const backMs = dice.next() * 3;
    if (this.isCalm) {
      return { thereMs, backMs, isRefused: false, isAnswerLost: false };
    }
    if ((this.outageEndsMs.get(machine.name) ?? 0) > this.events.nowMs) {
      const stallMs = dice.chance(0.3) ? dice.whole(...STALL_MS) : 0;
      const isRefused = dice.chance(0.7);
      return {
        thereMs: thereMs + (dice.chance(0.5) ? stallMs : 0),
        backMs: backMs + stallMs,
        isRefused,
        isAnswerLost: true,
      };
    }
    // A claim with a lost answer costs a lease.
    const mayLose = !this.isMild || verb !== 'claim';
    const isSlow = dice.chance(faultRates.slow);
    return {
      thereMs: isSlow ? dice.whole(...SLOW_MS) : thereMs,
      backMs: dice.chance(faultRates.slow) ? dice.whole(...SLOW_MS) : backMs,
      isRefused: dice.chance(faultRates.refused),
      isAnswerLost: mayLose && dice.chance(faultRates.answerLost),
    };
  }

  private announce(from: Machine, news: readonly string[] | 'cancel' | 'workers', audience: Audience = 'one'): void {
    this.announced += 1;
    const sender = this.listeners.get(from)?.worker;
    const hint = audience === 'one' ? { id: `${this.announced}`, sender } : undefined;
    for (const [machine, hints] of this.listeners) {
      if (machine === from) {
        continue;
      }
      if (this.dice.chance(this.faultRates.hintLost)) {
        this.onFault('hint lost');
        continue;
      }
      const notify = (): void => {
        if (news === 'cancel') hints.onCancel();
        else if (news === 'workers') hints.onWorkers();
        else if (news.length > 1) hints.onJobs();
        else hints.onJobs(news[0], hint);
      };
      this.events.after(this.dice.whole(...HINT_MS), notify, machine);
    }
  }
}

function noAnswer(isUncertain: boolean): QueueUnavailableError {
  return new QueueUnavailableError('the connection is cut', { isUncertain });
}
