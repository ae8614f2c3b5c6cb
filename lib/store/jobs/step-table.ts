import { byId, toTokenJson } from './batch-json.js';
import { selectWithoutRow, toClaimStates } from './batch-results.js';
import type { StepEntry, StepStore } from '../job-store.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import type { ClaimState } from './job-records.js';

interface StepStatements {
  readonly RECORD_STEPS: string;
  readonly STILL_OWNED: string;
}

/** Writes the steps of running jobs. */
export class StepTable implements StepStore {
  constructor(
    private readonly statements: StepStatements,
    private readonly write: SqlQuery,
  ) {}

  async record(entries: readonly StepEntry[]): Promise<ClaimState[]> {
    const tokens = entries.map(({ token }) => token);
    const recorded = await this.write(this.statements.RECORD_STEPS, [toStepsJson(entries)]);
    const others = selectWithoutRow(tokens, recorded);
    const locked = others.length === 0 ? [] : await this.write(this.statements.STILL_OWNED, [toTokenJson(others)]);
    return toClaimStates(tokens, recorded, locked);
  }
}

function toStepsJson(entries: readonly StepEntry[]): string {
  const sorted = [...entries].sort((a, b) => byId(a.token, b.token));
  const rows = sorted.map(
    ({ token: { id, attempt }, step }) => `{"id":${JSON.stringify(id)},"attempt":${attempt},"step":${step}}`,
  );
  return `[${rows.join(',')}]`;
}
