import { ScheduleNotFoundError } from '../../core/errors.js';
import { formatDuration } from '../../core/duration.js';
import type { Schedule } from '../../core/schedule.js';
import type { JobsEngine } from '../../engine/jobs-engine.js';
import { toJobDto, toScheduleDto } from '../../http/job-serializer.js';
import { NEXT_TICKS } from '../../http/requests.js';
import { formatTime } from '../format.js';
import type { Cell, Terminal } from '../terminal.js';
import type { Verb } from '../verb.js';
import { EXIT } from '../exit.js';
import { defineVerb } from '../verb.js';

const list = defineVerb({
  name: 'schedules',
  summary: 'Lists the schedules',
  details: ['Other verbs of schedules: show, next, run, pause, resume, remove.'],
  fields: {},
  async run({ terminal, isJson, openEngine }) {
    const schedules = await (await openEngine()).schedules.list();
    if (isJson) {
      terminal.printJson({ items: schedules.map(toScheduleDto) });
    } else if (schedules.length === 0) {
      terminal.print('no schedules');
    } else {
      terminal.printTable(['NAME', 'PATTERN', 'ZONE', 'TOPIC', 'NEXT', 'LAST', 'NOTE'], schedules.map(toRow));
    }
    return EXIT.DONE;
  },
});

function toRow(schedule: Schedule): Cell[] {
  const { name, tz, topic, nextTick, lastTick } = schedule;
  const note: Cell = { text: toNotes(schedule), style: 'yellow' };
  return [name, toPatternText(schedule), tz, topic, formatTime(nextTick), formatTime(lastTick), note];
}

function toNotes({ pausedSince, isDeclared, liveDefinitions }: Schedule): string {
  const notes = [
    pausedSince && `paused since ${formatTime(pausedSince)}`,
    !isDeclared && 'no process declares it',
    liveDefinitions > 1 && `processes declare ${liveDefinitions} definitions`,
  ];
  return notes.filter(Boolean).join(', ');
}

function toPatternText({ pattern }: Schedule): string {
  return typeof pattern === 'string' ? pattern : `every ${formatDuration(pattern.every)}`;
}

const show = defineVerb({
  name: 'schedules show',
  summary: 'Shows one schedule',
  args: 'NAME',
  argsCount: [1, 1],
  fields: {},
  async run({ args: [name], terminal, isJson, openEngine }) {
    const engine = await openEngine();
    const schedule = await engine.schedules.get(name!);
    if (!schedule) {
      throw new ScheduleNotFoundError(name!);
    }
    if (isJson) {
      terminal.printJson(toScheduleDto(schedule));
    } else {
      printSchedule(terminal, schedule);
    }
    return EXIT.DONE;
  },
});

function printSchedule(terminal: Terminal, schedule: Schedule): void {
  const { missed } = schedule;
  terminal.printPairs([
    ['name', schedule.name],
    ['pattern', toPatternText(schedule)],
    ['zone', schedule.tz],
    ['topic', schedule.topic],
    ['source', schedule.source],
    ['next tick', formatTime(schedule.nextTick)],
    ['last tick', formatTime(schedule.lastTick)],
    ['last job', schedule.lastJobId],
    ['missed ticks', `${missed.policy}, within ${formatDuration(missed.withinMs)}`],
    ['overlap', schedule.overlap],
    ['note', { text: toNotes(schedule), style: 'yellow' }],
  ]);
}

const next = defineVerb({
  name: 'schedules next',
  summary: 'Prints the next ticks of a schedule',
  args: 'NAME',
  argsCount: [1, 1],
  fields: NEXT_TICKS,
  async run({ args: [name], values: { count }, terminal, isJson, openEngine }) {
    const engine = await openEngine();
    const ticks = await engine.schedules.next(name!, count);
    if (isJson) {
      terminal.printJson({ items: ticks.map((tick) => tick.toISOString()) });
    } else {
      ticks.forEach((tick) => terminal.print(formatTime(tick)));
    }
    return EXIT.DONE;
  },
});

const run = defineVerb({
  name: 'schedules run',
  summary: 'Enqueues a job of a schedule now',
  args: 'NAME',
  argsCount: [1, 1],
  fields: {},
  async run({ args: [name], terminal, isJson, openEngine }) {
    const job = await (await openEngine()).schedules.run(name!);
    if (isJson) {
      terminal.printJson(toJobDto(job));
    } else {
      terminal.print(`enqueued job ${job.id} of '${job.topic}'`);
    }
    return EXIT.DONE;
  },
});

/** Defines a verb that changes one schedule. */
function defineChange(action: 'pause' | 'resume' | 'remove', summary: string, details: readonly string[] = []): Verb {
  const change = (engine: JobsEngine, name: string): Promise<void> => engine.schedules[action](name);
  return defineVerb({
    name: `schedules ${action}`,
    summary,
    details,
    args: 'NAME',
    argsCount: [1, 1],
    fields: {},
    async run({ args: [name], terminal, isJson, confirm, openEngine }) {
      const engine = await openEngine();
      if (action === 'remove') {
        await confirm(`Remove the schedule '${name}'?`);
      }
      await change(engine, name!);
      if (isJson) {
        terminal.printJson({ name });
      } else {
        terminal.print(`${action}d '${name}'`);
      }
      return EXIT.DONE;
    },
  });
}

/** The verbs of schedules. */
export const scheduleVerbs: readonly Verb[] = [
  list,
  show,
  next,
  run,
  defineChange('pause', 'Stops a schedule until resume', ['Ticks during the pause never fire.']),
  defineChange('resume', 'Resumes a paused schedule, from its next tick'),
  defineChange('remove', 'Removes a schedule', [
    'A schedule that the code of a process declares cannot be removed. It asks first.',
  ]),
];
