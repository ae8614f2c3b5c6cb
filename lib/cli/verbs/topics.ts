import { formatJobs } from '../format.js';
import type { Verb } from '../verb.js';
import { EXIT } from '../exit.js';
import { defineVerb } from '../verb.js';

const TOPICS_MAX = 1_000;

/** Pauses topics. */
export const pause = defineTopicVerb('pause', 'Stops all processes from claiming jobs of topics, until resume', [
  'Jobs that a process has claimed run to their end. The pause survives restarts. The topic may have no jobs yet.',
]);

/** Resumes topics. */
export const resume = defineTopicVerb('resume', 'Lets all processes claim jobs of paused topics again', []);

function defineTopicVerb(name: 'pause' | 'resume', summary: string, details: readonly string[]): Verb {
  return defineVerb({
    name,
    summary,
    args: 'TOPIC…',
    argsCount: [1, TOPICS_MAX],
    details,
    examples: [`nestjs-jobs ${name} mail`],
    fields: {},
    async run({ args: topics, terminal, isJson, openEngine }) {
      const engine = await openEngine();
      for (const topic of topics) {
        await engine.topics[name](topic);
      }
      if (isJson) {
        terminal.printJson({ topics });
        return EXIT.DONE;
      }
      const waiting = new Map((await engine.topics.list(topics)).map((topic) => [topic.topic, topic.pending]));
      for (const topic of topics) {
        terminal.print(`${name}d '${topic}', with ${formatJobs(waiting.get(topic) ?? 0)} waiting`);
      }
      return EXIT.DONE;
    },
  });
}
