/** So many jobs of one topic: the newest in a status, or those that would run first. */
export interface ReportLane {
  readonly topic: string;
  readonly limit: number;
}

/** How many jobs a lane has. */
export interface LaneSize {
  readonly topic: string;
  /** `Infinity` when it is not known. */
  readonly jobs: number;
}

/**
 * Shares a number of jobs among lanes: no lane gets more than it has, and what small ones leave goes to the others. When
 * all have at most `jobsMax` together, each gets what it has.
 */
export function lanesOf(sizes: readonly LaneSize[], jobsMax: number): ReportLane[] {
  const limits = new Map<string, number>();
  let left = jobsMax;
  const smallestFirst = [...sizes].sort((one, other) => (one.jobs < other.jobs ? -1 : 1));
  for (const [index, { topic, jobs }] of smallestFirst.entries()) {
    const limit = Math.min(jobs, Math.ceil(left / (sizes.length - index)));
    limits.set(topic, limit);
    left -= limit;
  }
  return sizes.map(({ topic }) => ({ topic, limit: limits.get(topic)! }));
}

/**
 * The same when it would cost much to know how large the lanes are: each round measures those that may be larger than
 * their share, up to that share, until no lane leaves anything to the others.
 *
 * @param sizesUpTo how many jobs each lane has, counted up to its limit.
 */
export async function measuredLanesOf(
  topics: readonly string[],
  jobsMax: number,
  sizesUpTo: (lanes: readonly ReportLane[]) => Promise<readonly LaneSize[]>,
): Promise<ReportLane[]> {
  const known = new Map(topics.map((topic) => [topic, Infinity]));
  for (;;) {
    const lanes = lanesOf(
      topics.map((topic) => ({ topic, jobs: known.get(topic)! })),
      jobsMax,
    );
    const open = lanes.filter(({ topic }) => known.get(topic) === Infinity);
    if (open.length === 0) {
      return lanes;
    }
    const sizes = new Map((await sizesUpTo(open)).map(({ topic, jobs }) => [topic, jobs]));
    const small = open.filter(({ topic, limit }) => (sizes.get(topic) ?? 0) < limit);
    if (small.length === 0) {
      return lanes;
    }
    small.forEach(({ topic }) => known.set(topic, sizes.get(topic) ?? 0));
  }
}
