import { Inject, Injectable } from '@nestjs/common';
import { moduleLogger } from '../nest/nest-logger.js';
import type { Visit } from './access.js';
import { Access } from './access.js';
import type { Caller } from './caller.js';

/** What stands of a filter in a line. */
const TEXT_LENGTH_MAX = 300;

/** Tells the application's log who has moved jobs over HTTP: the queue itself only knows that somebody has. */
@Injectable()
export class MoveLog {
  constructor(@Inject(Access) private readonly access: Access) {}

  /**
   * @param what a sentence without its subject, such as `cancelled job …`
   * @param which of how many jobs were moved, those that were meant
   */
  note(visit: Visit, what: string, which?: object): void {
    // It has happened, whether or not anybody can say by whom: no answer waits for that.
    this.access.known(visit).then(
      (caller) => this.write(caller, what, which),
      () => this.write(undefined, what, which),
    );
  }

  private write(caller: Caller | undefined, what: string, which: object | undefined): void {
    const meant = which ? `: ${JSON.stringify(which).slice(0, TEXT_LENGTH_MAX)}` : '';
    moduleLogger.log(`${nameOf(caller)} ${what}${meant}`);
  }
}

function nameOf(caller: Caller | undefined): string {
  if (caller === undefined || caller.kind === 'anonymous') {
    return 'somebody unknown';
  }
  return caller.id === '' ? 'an administrator' : `'${caller.id.slice(0, TEXT_LENGTH_MAX)}'`;
}
