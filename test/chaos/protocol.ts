import type { JobBatch, JobContext, JobsOptions, Limits } from 'nestjs-jobs';
import type { DatabaseAddress } from '../processes/support/protocol.js';

export type { DatabaseAddress };

/** What a process of the campaign is started with. */
export interface MemberSettings {
  /** Its name, no two alike: of its history, and of the effects of its handlers. */
  readonly name: string;
  readonly seed: number;
  readonly database: DatabaseAddress;
  readonly historyFolder: string;
  readonly options: JobsOptions;
  /** The defect of this build, which the checker must detect. */
  readonly mutant: string | null;
  /** The clock error of this process. */
  readonly clockOffsetMs: number;
  /** Enqueuers: how long the handlers of their jobs work, from and to. */
  readonly handlerMs: readonly [number, number];
  /** Enqueuers: how many jobs may wait before they pause. */
  readonly backlogMax: number;
  /** Enqueuers: whether they also store jobs whose handlers misbehave. */
  readonly isPoisonous: boolean;
  /** Workers: how many schedules they declare. */
  readonly schedules: number;
  /** Enqueuers: whether they store jobs of limited topics. */
  readonly isLimited: boolean;
  /** Enqueuers: whether most jobs belong to graphs or groups. Workers: whether a re-queue takes the dependants along. */
  readonly isLinked: boolean;
  /** Workers: the version of the application; 0: its definitions are not tested. */
  readonly version: number;
}

/** Tells a worker to kill itself when it has recorded the end of a job, and is about to follow it up. */
export const DIE_BEFORE_FOLLOW_UP = 'die before the next follow-up';

export const FIRST_VERSION = 1;
/** Its handler declares something else in each version. It has no jobs. */
export const VERSIONED = 'versioned';
const HOUR_MS = 3_600_000;

/** What a version declares for the topic. */
export const versionOptions = (version: number) =>
  ({
    limits: { concurrency: version },
    retention: { completed: version * HOUR_MS },
    deadLetter: `dead_letters_${version}`,
  }) as const;

/** The pattern of the schedule `versioned` in a version: a minute that hardly comes. */
export const versionPattern = (version: number): string => `${version} 0 29 2 *`;

/** How a handler of the topic `poison` misbehaves. */
export const poisons = ['exits', 'blocks', 'throws undefined', 'rejects late', 'never settles'] as const;
export type Poison = (typeof poisons)[number];

/** The payload of a job. */
export interface Load {
  /** Names the job, even if the response to its enqueue is lost. */
  readonly n: string;
  /** How long the handler works. */
  readonly ms: number;
  /** Whether it ends when it is told to. */
  readonly obeys: boolean;
  readonly poison?: Poison;
  /** How its first attempt ends; without it, it completes. */
  readonly first?: 'throws' | 'snoozes';
  readonly link?: LoadLink;
}

/** The place of a job in a graph or a group, for the checker. */
export interface LoadLink {
  /** Names of the parents. Of a callback: of the members. */
  readonly parents: readonly string[];
  readonly mode: 'cancel' | 'run' | 'wait' | 'onSuccess' | 'onFinish' | 'onFailure';
  /** Names the group of a member or callback. */
  readonly group?: string;
}

export type LoadContext = JobContext<Load>;
export type LoadBatch = JobBatch<Load>;

/** The exit code of a process that a handler has ended. */
export const EXIT_OF_HANDLER = 7;

/** In one transaction with its effect, so that there is exactly one. */
export const exactTopics = ['complete_tx', 'batch_tx', 'transactional', 'fragile'];

/** Each job fails for good. */
export const DOOMED = 'doomed';

/** Jobs that nobody wants to be done: how they end is theirs to choose. */
export const poisonTopics = ['poison', 'poison_endless'];

/** The topic of dead letters. */
export const DEAD_LETTERS = 'dead_letters';

/** Each of their jobs that fails for good has a dead letter. */
export const mournedTopics = ['fragile', DOOMED, ...poisonTopics];

/** The topics with limits. Jobs wait for each limit all the time. */
export const limitedTopics: Readonly<Record<string, Limits>> = {
  limited: { concurrency: 4, perKey: 2 },
  rated: { rate: { limit: 5, per: 1_000 } },
  rated_by_key: { concurrency: 12, rate: { limit: 2, per: 1_000, perKey: true } },
};
