import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { HttpOptions } from '../../lib/core/http-options.js';
import { readJobsOptions } from '../../lib/core/options.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

class Guard {
  canActivate(): boolean {
    return true;
  }
}

const authenticate = (): null => null;

function catchError(http: object, ui?: object): InvalidOptionsError {
  return captureThrown(() => readJobsOptions({ http, ui })) as InvalidOptionsError;
}

describe('HTTP options', () => {
  it.each<HttpOptions>([
    { path: 'v2/jobs-api' },
    { adminToken: 'printable-!~' },
    { adminToken: '' },
    { adminGuard: Guard },
    { adminGuard: new Guard() },
    { decorators: [() => undefined], authenticate },
    { adminToken: '', authenticate },
    { enqueueRule: 'public', readRule: 'public', manageRule: 'authenticated' },
    { enqueueRule: () => true, readRule: 'nobody', manageRule: () => Promise.resolve(false) },
    { enqueueFields: ['topic', 'payload', 'priority', 'depends_on'] },
    { allowedTopics: ({ topic }) => topic === 'mail' },
    { allowedTopics: ['mail'], redact: (job) => ({ ...job, payload: null }), searchPayloads: true },
  ])('accept %j', (http) => {
    expect(readJobsOptions({ http }).http).toMatchObject(http);
  });

  it.each([
    ['path', ['', '/', 'a//b', '../jobs', 'api/:id', 'api/*', 'a b', 7]],
    ['adminGuard', [{}, () => true, 'guard', null]],
    ['decorators', [{}, ['Public'], () => undefined, null]],
    ['authenticate', ['admin', {}, null]],
    ['enqueueRule', ['everybody', true, '']],
    ['enqueueFields', [[], 'priority', ['label'], ['runAt']]],
    ['readRule', ['Admin', 1, null]],
    ['manageRule', ['Admin', 1, null]],
    ['allowedTopics', ['mail', [], ['']]],
    ['redact', [true, {}, null]],
    ['searchPayloads', ['yes', 1, null]],
  ])('reject a wrong %s by name', (name, values) => {
    for (const value of values) {
      const error = catchError({ [name]: value });
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect(error.message).toContain(`http.${name}`);
    }
  });

  it('let a search read payloads unless they are redacted', () => {
    const redact: HttpOptions['redact'] = (job) => job;
    const searches = (http: HttpOptions): unknown => readJobsOptions({ http }).http;
    expect(searches({})).toMatchObject({ searchPayloads: true });
    expect(searches({ redact })).toMatchObject({ searchPayloads: false });
    expect(searches({ redact, searchPayloads: true })).toMatchObject({ searchPayloads: true });
    expect(searches({ searchPayloads: false })).toMatchObject({ searchPayloads: false });
  });

  it('do not quote a rejected token', () => {
    const error = catchError({ adminToken: 'my secret' });
    expect(error.message).toBe('http.adminToken: expected printable ASCII without spaces, got something else');
  });

  it('reject two kinds of authentication', () => {
    expect(catchError({ adminToken: 't', adminGuard: Guard }).message).toBe(
      'http.adminGuard: contradicts http.adminToken; give one of the two',
    );
    expect(catchError({ adminGuard: Guard, authenticate }).option).toBe('http.authenticate');
  });

  it('reject an unknown name', () => {
    expect(catchError({ token: 't' }).message).toMatch(/^http\.token: unknown option/);
    expect(catchError({}, { pth: 'a' }).message).toBe("ui.pth: unknown option; did you mean 'path'?");
    expect(catchError({ auth: 'a' }).message).toBe("http.auth: unknown option; did you mean 'authenticate'?");
  });

  it('reject the same path for the admin UI and the API', () => {
    expect(catchError({ path: 'jobs' }, { path: 'jobs/ui' }).option).toBe('ui.path');
    expect(catchError({ path: 'admin/jobs' }).option).toBe('ui.path');
    expect(catchError({ path: 'jobs' }, { path: 'Jobs' }).option).toBe('ui.path');
    expect(() => readJobsOptions({ http: { path: 'jobs/api' }, ui: { path: 'jobs' } })).not.toThrow();
  });

  it('are accepted again after they were checked', () => {
    const { http } = readJobsOptions({ http: { path: '/queue/', adminToken: 't' } });
    expect(readJobsOptions({ http: http as HttpOptions }).http).toEqual(http);
  });
});
