/*
 * Dependencies and groups. In: jobs with parents. Out: links in the table, and released jobs.
 * The store releases children in the transaction that ends their parent. Read linked-insert.ts (rows and links of a call),
 * link-events.ts (what happens after a release), and this file (the repair).
 */
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

type LinkRepairerParts = Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random'>;

const INTERVAL_MS = 60_000;
const PAGES_MAX = 20;
const GROUP_PAGES_MAX = 5;

/**
 * Each minute, while links or groups exist, ends the links of parents that a process of an older version or a statement of the application
 * has ended, and deletes the links of deleted jobs and the groups without jobs. A pass reads up to 20,000 links and 5,000 groups, and goes
 * on where the previous one stopped.
 */
export class LinkRepairer {
  private readonly loop: PollLoop;
  private hasLinks = false;
  private after: string | null = null;
  private afterGroup: string | null = null;

  constructor(private readonly parts: LinkRepairerParts) {
    this.loop = new PollLoop({
      ...parts,
      name: 'repair of dependencies',
      intervalMs: INTERVAL_MS,
      initialDelayMs: INTERVAL_MS,
      work: () => this.run(),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Receives whether there are links or groups. Without this, no statement runs. */
  onPresence(hasLinks: boolean): void {
    this.hasLinks = hasLinks;
  }

  private async run(): Promise<void> {
    const { links, groups } = this.parts.store;
    for (let page = 0; this.hasLinks && page < PAGES_MAX; page += 1) {
      const { next } = await links.repair(this.after);
      this.after = next;
      if (next === null) {
        break;
      }
    }
    for (let page = 0; this.hasLinks && page < GROUP_PAGES_MAX; page += 1) {
      this.afterGroup = await groups.prune(this.afterGroup);
      if (this.afterGroup === null) {
        return;
      }
    }
  }
}
