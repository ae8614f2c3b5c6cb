import { createHash, timingSafeEqual } from 'node:crypto';
import { readAdminToken } from '../core/http-options.js';
import type { HttpSettings } from '../core/http-options.js';

/** Name of the variable that holds the token when no option says who administrators are. */
export const TOKEN_VARIABLE = 'JOBS_ADMIN_TOKEN';

/** The bearer token of administrators, of which only a digest is kept. */
export class AdminToken {
  private readonly digest: Buffer;

  private constructor(token: string) {
    this.digest = digestOf(token);
  }

  /**
   * The token of the options, or of the environment when they name no other way to know administrators.
   *
   * @throws InvalidOptionsError when the environment's cannot be sent in a header.
   */
  static from(settings: HttpSettings, environment: NodeJS.ProcessEnv = process.env): AdminToken | undefined {
    const { adminToken, guard, authenticate } = settings;
    const isOpen = !adminToken && !guard && !authenticate;
    const token = isOpen ? readAdminToken(environment[TOKEN_VARIABLE] ?? '', TOKEN_VARIABLE) : adminToken;
    return token ? new AdminToken(token) : undefined;
  }

  /** Whether a header `Authorization` carries it. Takes the same time wherever the two differ, and however long they are. */
  isIn(authorization: string | undefined): boolean {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    return token !== undefined && timingSafeEqual(digestOf(token), this.digest);
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
