import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { HttpOptions } from '../../lib/core/http-options.js';
import { readJobsOptions } from '../../lib/core/options.js';
import { thrownBy } from '../support/unit/thrown.js';

class Guard {
  canActivate(): boolean {
    return true;
  }
}

const authenticate = (): null => null;

function refusalOf(http: object, ui?: object): InvalidOptionsError {
  return thrownBy(() => readJobsOptions({ http, ui })) as InvalidOptionsError;
}

describe('the options of the HTTP API', () => {
  it.each<HttpOptions>([
    { path: 'v2/jobs-api' },
    { adminToken: 'printable-!~' },
    { adminToken: '' },
    { adminGuard: Guard },
    { adminGuard: new Guard() },
    { decorators: [() => undefined], authenticate },
    { adminToken: '', authenticate },
    { enqueueRule: 'public', readRule: 'public', manageRule: 'authenticated' },
    { enqueueRule: () => true, manageRule: () => Promise.resolve(false) },
    { allowedTopics: ['mail'], redact: (job) => ({ ...job, payload: null }) },
  ])('take what is right: %j', (http) => {
    expect(readJobsOptions({ http }).http).toMatchObject(http);
  });

  it.each([
    ['path', ['', '/', 'a//b', '../jobs', 'api/:id', 'api/*', 'a b', 7]],
    ['adminGuard', [{}, () => true, 'guard', null]],
    ['decorators', [{}, ['Public'], () => undefined, null]],
    ['authenticate', ['admin', {}, null]],
    ['enqueueRule', ['everybody', true, '']],
    ['readRule', ['Admin', 1, null]],
    ['manageRule', ['Admin', 1, null]],
    ['allowedTopics', ['mail', [], ['']]],
    ['redact', [true, {}, null]],
  ])('refuse what is wrong for %s, by its name', (name, values) => {
    for (const value of values) {
      const error = refusalOf({ [name]: value });
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect(error.message).toContain(`http.${name}`);
    }
  });

  it('quote no token that is refused', () => {
    const error = refusalOf({ adminToken: 'my secret' });
    expect(error.message).toBe('http.adminToken: expected printable ASCII without spaces, got something else');
  });

  it('refuse two ways to know callers', () => {
    expect(refusalOf({ adminToken: 't', adminGuard: Guard }).message).toBe(
      'http.adminGuard: contradicts http.adminToken; give one of the two',
    );
    expect(refusalOf({ adminGuard: Guard, authenticate }).option).toBe('http.authenticate');
  });

  it('refuse an unknown name', () => {
    expect(refusalOf({ token: 't' }).message).toMatch(/^http\.token: unknown option/);
    expect(refusalOf({}, { pth: 'a' }).message).toBe("ui.pth: unknown option; did you mean 'path'?");
    expect(refusalOf({ auth: 'a' }).message).toBe("http.auth: unknown option; did you mean 'authenticate'?");
  });

  it('refuse an admin UI where the API is', () => {
    expect(refusalOf({ path: 'jobs' }, { path: 'jobs/ui' }).option).toBe('ui.path');
    expect(refusalOf({ path: 'admin/jobs' }).option).toBe('ui.path');
    expect(refusalOf({ path: 'jobs' }, { path: 'Jobs' }).option).toBe('ui.path');
    expect(() => readJobsOptions({ http: { path: 'jobs/api' }, ui: { path: 'jobs' } })).not.toThrow();
  });

  it('are taken as they were checked before', () => {
    const { http } = readJobsOptions({ http: { path: '/queue/', adminToken: 't' } });
    expect(readJobsOptions({ http: http as HttpOptions }).http).toEqual(http);
  });
});
