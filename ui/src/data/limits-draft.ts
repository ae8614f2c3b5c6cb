import type { Limits, LimitsRequest } from '../../../client/index.js';
import { JobsApiError } from '../../../client/index.js';
import { durationField } from '../text/duration.js';

/** Values of the form that edits limits. An empty number means no limit. */
export interface LimitsDraft {
  concurrency: number | null;
  perKey: number | null;
  rateLimit: number | null;
  per: string;
  isRatePerKey: boolean;
  isSpread: boolean;
}

/** Returns the form that shows these limits. */
export function toLimitsDraft(limits: Limits | null): LimitsDraft {
  return {
    concurrency: limits?.concurrency ?? null,
    perKey: limits?.per_key ?? null,
    ...toRateDraft(limits?.rate),
  };
}

function toRateDraft(rate: Limits['rate']): Pick<LimitsDraft, 'rateLimit' | 'per' | 'isRatePerKey' | 'isSpread'> {
  return {
    rateLimit: rate?.limit ?? null,
    per: rate === undefined ? '1m' : durationField(rate.per),
    isRatePerKey: rate?.per_key ?? false,
    isSpread: rate?.spread ?? false,
  };
}

/** Returns the limits that apply now, with the fields that the user has changed. The four fields of a rate belong together. */
export function mergeLimits(before: LimitsDraft, edited: LimitsDraft, now: LimitsDraft): LimitsDraft {
  const pick = <T>(choose: (draft: LimitsDraft) => T): T => {
    const isEdited = JSON.stringify(choose(edited)) !== JSON.stringify(choose(before));
    return choose(isEdited ? edited : now);
  };
  return {
    concurrency: pick(({ concurrency }) => concurrency),
    perKey: pick(({ perKey }) => perKey),
    ...pick(({ rateLimit, per, isRatePerKey, isSpread }) => ({ rateLimit, per, isRatePerKey, isSpread })),
  };
}

/** Returns the request body of a form. The server checks its values. */
export function toLimitsRequest(draft: LimitsDraft): LimitsRequest {
  const { concurrency, perKey, rateLimit, per, isRatePerKey, isSpread } = draft;
  return {
    ...(concurrency !== null && { concurrency }),
    ...(perKey !== null && { per_key: perKey }),
    ...(rateLimit !== null && {
      rate: { limit: rateLimit, per: per.trim(), per_key: isRatePerKey, spread: isSpread },
    }),
  };
}

const FIELDS = ['concurrency', 'per_key', 'rate.limit', 'rate.per', 'rate.per_key', 'rate.spread'] as const;

/** A field of the form, by its path in the request. */
export type LimitField = (typeof FIELDS)[number];

/** Returns the API's errors by field; `undefined` if one belongs to no field of the form. */
export function readLimitComplaints(error: unknown): Partial<Record<LimitField, string>> | undefined {
  if (!(error instanceof JobsApiError)) return undefined;
  const entries = Object.entries(error.data).map(([path, text]) => [path.replace(/^limits\./, ''), text] as const);
  const isKnown = entries.length > 0 && entries.every(([path]) => (FIELDS as readonly string[]).includes(path));
  return isKnown ? Object.fromEntries(entries) : undefined;
}
