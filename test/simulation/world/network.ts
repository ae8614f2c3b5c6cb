import { QueueUnavailableError } from '../../../lib/core/errors.js';
import type { Dice } from '../../chaos/dice.js';
import type { Agenda, Machine } from './agenda.js';
import type { Climate } from './plan.js';
import type { Line } from './simulated-store.js';

/** What becomes of one statement. */
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

/** The lines of all processes to the table, and the hints between them. */
export class Network {
  /** From now on nothing bad happens on it, but that hints get lost. */
  isCalm = false;
  /** Whose statement the table works on. */
  actor: string | undefined;
  private readonly listeners = new Map<Machine, { jobs(topic?: string): void; cancel(): void }>();
  private readonly outageEndsMs = new Map<string, number>();

  constructor(
    private readonly agenda: Agenda,
    private readonly dice: Dice,
    private readonly climate: Climate,
    private readonly isMild: boolean,
    private readonly onFault: (fault: 'refused' | 'answer lost' | 'hint lost') => void,
  ) {}

  /** A process has no connection for so long. */
  cut(machine: Machine, ms: number): void {
    this.outageEndsMs.set(machine.name, this.agenda.nowMs + ms);
  }

  lineOf(machine: Machine): Line {
    const { dice, climate } = this;
    return {
      worker: machine.name,
      ask: (verb, work) => this.send(machine, this.fateOf(machine, verb), work),
      meetsLock: () => !this.isCalm && dice.chance(climate.locked),
      tookMs: () => (dice.chance(climate.costly) ? dice.whole(...COSTLY_MS) : 0),
      announce: (topics) => this.announce(machine, topics),
      listen: (hints) => {
        this.listeners.set(machine, hints);
        return () => this.listeners.delete(machine);
      },
    };
  }

  /** What was sent reaches the table, whatever becomes of its sender meanwhile. */
  private send<T>(machine: Machine, fate: Fate, work: () => T): Promise<T> {
    if (fate.isRefused || fate.isAnswerLost) {
      this.onFault(fate.isRefused ? 'refused' : 'answer lost');
    }
    return new Promise((resolve, reject) => {
      this.agenda.after(fate.thereMs, () => {
        const answer = fate.isRefused ? noAnswer(this.dice.chance(0.5)) : this.worked(machine, work);
        const isLost = fate.isAnswerLost || answer instanceof Error;
        const heard = answer instanceof Error ? answer : noAnswer(true);
        const arrive = isLost ? () => reject(heard) : () => resolve(answer);
        this.agenda.after(fate.backMs, arrive, machine);
      });
    });
  }

  private worked<T>(machine: Machine, work: () => T): T | Error {
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
    const { dice, climate } = this;
    const thereMs = dice.next() * 3;
    const backMs = dice.next() * 3;
    if (this.isCalm) {
      return { thereMs, backMs, isRefused: false, isAnswerLost: false };
    }
    if ((this.outageEndsMs.get(machine.name) ?? 0) > this.agenda.nowMs) {
      const stallMs = dice.chance(0.3) ? dice.whole(...STALL_MS) : 0;
      const isRefused = dice.chance(0.7);
      return {
        thereMs: thereMs + (dice.chance(0.5) ? stallMs : 0),
        backMs: backMs + stallMs,
        isRefused,
        isAnswerLost: true,
      };
    }
    // A claim whose answer is lost costs a lease.
    const mayLose = !this.isMild || verb !== 'claim';
    const isSlow = dice.chance(climate.slow);
    return {
      thereMs: isSlow ? dice.whole(...SLOW_MS) : thereMs,
      backMs: dice.chance(climate.slow) ? dice.whole(...SLOW_MS) : backMs,
      isRefused: dice.chance(climate.refused),
      isAnswerLost: mayLose && dice.chance(climate.answerLost),
    };
  }

  private announce(from: Machine, topics: readonly string[] | 'cancel'): void {
    for (const [machine, hints] of this.listeners) {
      if (machine === from) {
        continue;
      }
      if (this.dice.chance(this.climate.hintLost)) {
        this.onFault('hint lost');
        continue;
      }
      const tell = (): void => {
        if (topics === 'cancel') hints.cancel();
        else hints.jobs(topics.length === 1 ? topics[0] : undefined);
      };
      this.agenda.after(this.dice.whole(...HINT_MS), tell, machine);
    }
  }
}

function noAnswer(isUncertain: boolean): QueueUnavailableError {
  return new QueueUnavailableError('the line is cut', { isUncertain });
}
