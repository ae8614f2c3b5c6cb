import fc from 'fast-check';
import type { Claim } from '../../../lib/core/job.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import { COMMIT_MARGIN_MS } from '../../../lib/engine/claim/scan-cost.js';
import type { Lane, LaneScan } from '../../../lib/store/jobs/job-records.js';
import { createDueClaim, capacities, createScan } from '../../support/unit/mail-lane.js';

describe('bounded claims with background scans', () => {
  interface Waiting {
    readonly dueAtMs: number;
    readonly commitsAtMs: number;
    isLocked: boolean;
  }

  const jobs = fc.record({
    dueAtMs: fc.nat({ max: 3_000 }),
    openForMs: fc.oneof(fc.nat({ max: COMMIT_MARGIN_MS }), fc.nat({ max: 3_000 })),
    isAnnounced: fc.boolean(),
    isLocked: fc.boolean(),
  });

  /** How many claims are in flight, and whether each finds its jobs when it is sent or when it returns. */
  const pipelines = fc.record({ atOnce: fc.integer({ min: 1, max: 3 }), isQuick: fc.boolean() });

  it('claim every job, whenever it committed, locked or not, announced or not', () => {
    fc.assert(
      fc.property(
        fc.array(jobs, { maxLength: 30 }),
        fc.integer({ min: 1, max: 5 }),
        pipelines,
        (jobsOfRun, limit, pipeline) => {
          const laneIndex = new LaneIndex();
          let table: Waiting[] = [];
          const visible = (nowMs: number): Waiting[] =>
            table.filter((job) => job.commitsAtMs <= nowMs).sort((a, b) => a.dueAtMs - b.dueAtMs);
          const scan = (nowMs: number, fromMs: number): LaneScan => {
            const first = visible(nowMs).find((job) => job.dueAtMs >= fromMs);
            return createScan(first?.dueAtMs ?? null, nowMs);
          };
          const find = ({ lowerBound }: Lane, nowMs: number): Claim[] => {
            const fromMs = lowerBound === null ? -Infinity : Date.parse(lowerBound);
            const due = visible(nowMs).filter((job) => job.dueAtMs >= fromMs && job.dueAtMs <= nowMs && !job.isLocked);
            const taken = due.slice(0, limit);
            table = table.filter((job) => !taken.includes(job));
            return taken.map(({ dueAtMs }) => createDueClaim(dueAtMs, nowMs));
          };
          const inFlight: ((nowMs: number) => void)[] = [];
          const send = (sentMs: number): void => {
            const version = laneIndex.recordSend();
            const [lane] = laneIndex.plan([{ ...capacities[0]!, available: limit }], limit, sentMs, 'bounded');
            if (!lane) return;
            const found = pipeline.isQuick ? find(lane, sentMs) : undefined;
            inFlight.push((nowMs) => {
              const claims = found ?? find(lane, nowMs);
              laneIndex.recordClaim({ lanes: [lane], limit }, claims, version);
            });
          };
          /** Sends a claim and returns the oldest one when enough are in flight. */
          const claimOnce = (nowMs: number): void => {
            send(nowMs);
            if (inFlight.length >= pipeline.atOnce) inFlight.shift()!(nowMs);
          };
          const scanAll = (nowMs: number): void => {
            const starts = laneIndex.starts(capacities, 'bounded');
            claimOnce(nowMs);
            laneIndex.recordBackgroundScan(starts, scan(nowMs, -Infinity));
            const from = laneIndex.starts(capacities, 'bounded')[0]!.lowerBound;
            const fromMs = from === null ? -Infinity : Date.parse(from);
            laneIndex.recordScan(capacities, scan(nowMs, fromMs), nowMs, 'bounded', laneIndex.recordSend());
          };

          for (let nowMs = 0; nowMs <= 7_000; nowMs += 50) {
            for (const job of jobsOfRun.filter(({ dueAtMs }) => dueAtMs >= nowMs - 50 && dueAtMs < nowMs)) {
              table.push({ ...job, commitsAtMs: job.dueAtMs + job.openForMs });
            }
            if (jobsOfRun.some((job) => job.isAnnounced && Math.abs(job.dueAtMs + job.openForMs - nowMs) < 50)) {
              laneIndex.markDue('mail', 0);
            }
            if (nowMs === 6_000) table.forEach((job) => (job.isLocked = false));
            claimOnce(nowMs);
            if (nowMs % 500 === 0) scanAll(nowMs);
          }
          for (let round = 0; round < 40; round += 1) {
            scanAll(8_000 + round * 500);
            claimOnce(8_000 + round * 500);
          }
          inFlight.splice(0).forEach((answer) => answer(28_000));

          expect(table).toEqual([]);
        },
      ),
    );
  });
});
