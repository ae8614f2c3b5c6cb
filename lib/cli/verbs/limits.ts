import { formatDuration } from '../../core/duration.js';
import type { Check } from '../../core/option-checks.js';
import { applyCheck, integer } from '../../core/option-checks.js';
import type { TopicLimits } from '../../core/topic-limits.js';
import { KEY_LIMIT_MAX, LIMIT_MAX, limitsCheck } from '../../core/topic-limits.js';
import type { JobsEngine } from '../../engine/jobs-engine.js';
import { toDefinedLimitsDto } from '../../http/report-serializer.js';
import { toField } from '../../http/requests.js';
import { EXIT, UsageError } from '../exit.js';
import { formatCount } from '../format.js';
import type { Terminal } from '../terminal.js';
import type { Verb } from '../verb.js';
import { defineVerb } from '../verb.js';

/** A rate as text, such as `100/1m`. */
const rateCheck: Check<NonNullable<TopicLimits['rate']>> = {
  expects: "a number of starts and a duration, such as '100/1m'",
  schema: { type: 'string' },
  parse: (value, path) => {
    const [, limit, per] = /^(\d{1,9})\/(.+)$/.exec(String(value)) ?? [];
    return limit === undefined
      ? undefined
      : applyCheck(limitsCheck, { rate: { limit: Number(limit), per } }, path).rate;
  },
};

const list = defineVerb({
  name: 'limits',
  summary: 'Lists the limits of topics',
  details: ['Other verbs of limits: set, clear.'],
  fields: {},
  async run({ terminal, isJson, openEngine }) {
    const limits = await (await openEngine()).limits.list();
    if (isJson) {
      terminal.printJson({ items: limits.map((each) => toDefinedLimitsDto(each.topic, each)) });
    } else if (limits.length === 0) {
      terminal.print('no limits');
    } else {
      const rows = limits.map(({ topic, limits: own, source }) => [
        topic,
        own.concurrency === undefined ? '' : formatCount(own.concurrency),
        own.perKey === undefined ? '' : formatCount(own.perKey),
        own.rate ? toRateText(own.rate) : '',
        source,
      ]);
      terminal.printTable(['TOPIC', '>CONCURRENCY', '>PER KEY', 'RATE', 'SOURCE'], rows);
    }
    return EXIT.DONE;
  },
});

const set = defineVerb({
  name: 'limits set',
  summary: 'Sets the limits of a topic over all processes',
  args: 'TOPIC',
  argsCount: [1, 1],
  details: [
    'The setting replaces an earlier one as a whole, and wins over the limits in the code. Running jobs go on when a limit is lowered.',
  ],
  examples: [
    'nestjs-jobs limits set mail --rate 100/1m',
    'nestjs-jobs limits set call_provider --rate 10/1s --rate-spread',
    'nestjs-jobs limits set sync_shop --concurrency 50 --per-key 2',
  ],
  fields: {
    concurrency: toField(integer(1, LIMIT_MAX), 'jobs that run at once'),
    perKey: toField(integer(1, KEY_LIMIT_MAX), 'jobs with the same concurrency key that run at once'),
    rate: toField(rateCheck, "starts in any window of time, such as '100/1m'"),
  },
  switches: {
    'rate-per-key': 'counts the starts of each concurrency key separately',
    'rate-spread': 'spreads the starts evenly over the window',
    unlimited: 'removes every limit, also those in the code',
  },
  async run({ args: [topic], values: { concurrency, perKey, rate }, terminal, isJson, isOn, openEngine }) {
    const hasLimit = concurrency !== undefined || perKey !== undefined || rate !== undefined;
    if (hasLimit === isOn('unlimited')) {
      throw new UsageError('limits set needs either limits or --unlimited');
    }
    const ofRate = (['rate-per-key', 'rate-spread'] as const).find((name) => isOn(name));
    if (ofRate && !rate) {
      throw new UsageError(`--${ofRate} needs --rate`);
    }
    const engine = await openEngine();
    await engine.limits.set(topic!, {
      concurrency,
      perKey,
      rate: rate && {
        limit: rate.limit,
        per: rate.per,
        perKey: isOn('rate-per-key'),
        spread: isOn('rate-spread'),
      },
    });
    await printLimits(terminal, engine, topic!, isJson);
    return EXIT.DONE;
  },
});

const clear = defineVerb({
  name: 'limits clear',
  summary: 'Removes the setting of a topic, so that the limits in the code apply',
  args: 'TOPIC',
  argsCount: [1, 1],
  examples: ['nestjs-jobs limits clear mail'],
  fields: {},
  async run({ args: [topic], terminal, isJson, openEngine }) {
    const engine = await openEngine();
    await engine.limits.set(topic!, null);
    await printLimits(terminal, engine, topic!, isJson);
    return EXIT.DONE;
  },
});

/** Writes the limits that apply now. */
async function printLimits(terminal: Terminal, engine: JobsEngine, topic: string, isJson: boolean): Promise<void> {
  const defined = (await engine.limits.list()).find((each) => each.topic === topic);
  if (isJson) {
    terminal.printJson(toDefinedLimitsDto(topic, defined));
  } else {
    terminal.print(`'${topic}': ${toText(defined?.limits ?? {})}`);
  }
}

function toText({ concurrency, perKey, rate }: TopicLimits): string {
  const texts = [
    concurrency !== undefined && `${formatCount(concurrency)} at once`,
    perKey !== undefined && `${formatCount(perKey)} at once for each key`,
    rate && toRateText(rate),
  ];
  return texts.filter(Boolean).join(', ') || 'no limits';
}

function toRateText({ limit, per, perKey, spread }: NonNullable<TopicLimits['rate']>): string {
  return `${formatCount(limit)} in ${formatDuration(per)}${perKey ? ' for each key' : ''}${spread ? ', evenly' : ''}`;
}

/** The verbs of limits. */
export const limitVerbs: readonly Verb[] = [list, set, clear];
