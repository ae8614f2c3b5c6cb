import { Inject } from '@nestjs/common';
import { JobsEngine } from '../engine/jobs-engine.js';
import { Access } from './access.js';
import type { ApiCall } from './api-route.js';
import { ApiRoute } from './api-route.js';
import type { HttpAnswer, JsonAnswer } from './http-exchange.js';
import { emptyAnswer, jsonAnswer } from './http-exchange.js';
import { listOfSchema, objectSchema, ref } from './json-schema.js';
import { MoveLog } from './move-log.js';
import { TOPIC } from './requests.js';
import type { WireTopicList } from './wire-reports.js';
import { wireTopics } from './wire-reports.js';

/** The routes that show topics, and keep them from being worked on. */
export class TopicsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(Access) private readonly access: Access,
    @Inject(MoveLog) private readonly log: MoveLog,
  ) {}

  @ApiRoute({
    method: 'GET',
    path: '/topics',
    access: 'read',
    summary: 'Each topic in numbers',
    answers: {
      200: { meaning: 'The topics by name', schema: objectSchema({ items: listOfSchema(ref('TopicStats')) }) },
    },
  })
  async topics(): Promise<JsonAnswer<WireTopicList>> {
    const topics = await this.engine.topics.list(this.access.topics);
    return jsonAnswer(200, wireTopics(topics));
  }

  @ApiRoute({
    method: 'POST',
    path: '/topics/pause',
    access: 'manage',
    summary: 'Starts no more jobs of a topic, in any process, until it is resumed',
    body: { name: 'TopicRequest', fields: TOPIC },
    answers: { 204: { meaning: 'It is paused' } },
  })
  async pause({ visit, body: { topic } }: ApiCall<typeof TOPIC>): Promise<HttpAnswer> {
    this.access.ensureTopics([topic]);
    await this.engine.topics.pause(topic);
    this.log.note(visit, `paused the topic '${topic}'`);
    return emptyAnswer();
  }

  @ApiRoute({
    method: 'POST',
    path: '/topics/resume',
    access: 'manage',
    summary: 'Starts jobs of a topic again',
    body: { name: 'TopicRequest', fields: TOPIC },
    answers: { 204: { meaning: 'It is not paused' } },
  })
  async resume({ visit, body: { topic } }: ApiCall<typeof TOPIC>): Promise<HttpAnswer> {
    this.access.ensureTopics([topic]);
    await this.engine.topics.resume(topic);
    this.log.note(visit, `resumed the topic '${topic}'`);
    return emptyAnswer();
  }
}
