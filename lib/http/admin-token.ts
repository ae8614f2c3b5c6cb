import { createHash, timingSafeEqual } from 'node:crypto';
import { readAdminToken } from '../core/http-options.js';
import type { HttpSettings } from '../core/http-options.js';

/** The environment variable with the admin token. */
export const TOKEN_VARIABLE = 'JOBS_ADMIN_TOKEN';

/** The bearer token of administrators. Keeps only a digest of it. */
export class AdminToken {
  private readonly digest: Buffer;

  private constructor(token: string) {
    this.digest = hash(token);
  }

  /**
   * The token of the options; that of the environment when they set no way to identify administrators.
   *
   * @throws InvalidOptionsError for an environment variable that no header can carry.
   */
  static from(settings: HttpSettings, environment: NodeJS.ProcessEnv = process.env): AdminToken | undefined {
    const { adminToken, adminGuard, authenticate } = settings;
    const isUnset = !adminToken && !adminGuard && !authenticate;
    const token = isUnset ? readAdminToken(environment[TOKEN_VARIABLE] ?? '', TOKEN_VARIABLE) : adminToken;
    return token ? new AdminToken(token) : undefined;
  }

  /** Whether an `Authorization` header carries the token. Compares digests in constant time, for any length. */
  isIn(authorization: string | undefined): boolean {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    return token !== undefined && timingSafeEqual(hash(token), this.digest);
  }
}

function hash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
