import { PipesConsumer } from '@nestjs/core/pipes/index.js';

/** On its way from a pipe to the attempt; what a parameter's decorator throws is none. */
export class Rejection extends Error {
  constructor(readonly error: unknown) {
    super('rejected by a pipe');
  }
}

/** Pipes whose rejections can be told from other errors. */
export class MarkingPipes extends PipesConsumer {
  override async apply(...[value, metadata, pipes]: Parameters<PipesConsumer['apply']>): Promise<unknown> {
    // What an asynchronous decorator gives is not the pipes' affair until it is there.
    const given = await value;
    try {
      return await super.apply<unknown>(given, metadata, pipes);
    } catch (error) {
      throw new Rejection(error);
    }
  }
}
