import type { InvalidOptionsError } from '../../lib/core/errors.js';
import { readJobsOptions } from '../../lib/core/options.js';
import type { UiSettings } from '../../lib/core/ui-options.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

function readUi(ui: unknown): UiSettings {
  return readJobsOptions({ ui: ui as UiSettings }).ui as UiSettings;
}

function catchError(ui: unknown): InvalidOptionsError {
  return captureThrown(() => readUi(ui)) as InvalidOptionsError;
}

describe('the options of the admin UI', () => {
  it.each([
    '/login',
    '/',
    '/#/login',
    '/login?from=jobs&x=%20',
    'https://sso.example.com/start',
    'http://localhost:3000',
  ])('accept the sign-in address %s', (signIn) => {
    expect(readUi({ signIn })).toMatchObject({ signIn });
  });

  it.each([
    '',
    'login',
    './login',
    '//evil.example.com',
    '/\\evil.example.com',
    '/\t/evil.example.com',
    ' /login',
    '/log in',
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'data:text/html,a',
    'https:evil.example.com',
    'https://',
    'https://anna:secret@example.com',
    '/"><script>alert(1)</script>',
    '/login\n',
    '/anmeldung/für',
    7,
    null,
  ])('reject the sign-in address %j', (signIn) => {
    expect(catchError({ signIn }).option).toBe('ui.signIn');
  });

  it.each([
    [undefined, '#616161'],
    ['red', '#c62828'],
    ['#C2185B', '#c2185b'],
    ['#f80', '#ff8800'],
  ])('read the colour %s of the environment as %s', (color, read) => {
    expect(readUi({ environment: { name: 'production', color } }).environment).toEqual({
      name: 'production',
      color: read,
    });
  });

  it.each([
    [{ color: 'red' }, 'ui.environment.name'],
    [{ name: '' }, 'ui.environment.name'],
    [{ name: 'x'.repeat(31) }, 'ui.environment.name'],
    [{ name: 'test', color: 'crimson' }, 'ui.environment.color'],
    [{ name: 'test', color: '#12345' }, 'ui.environment.color'],
    [{ name: 'test', color: 'red; background: url(//a)' }, 'ui.environment.color'],
    [{ name: 'test', colour: 'red' }, 'ui.environment.colour'],
    ['production', 'ui.environment'],
  ])('reject the environment %j', (environment, option) => {
    expect(catchError({ environment }).option).toBe(option);
  });

  it.each([
    'https://logs.example.org/search?q={id}&topic={topic}',
    'http://localhost:3000/{topic}/{id}#{id}',
    'https://logs.example.org',
  ])('accept the link %s', (url) => {
    expect(readUi({ links: [{ label: 'Logs', url }] }).links).toEqual([{ label: 'Logs', url }]);
  });

  it.each([
    '/logs/{id}',
    '//logs.example.org/{id}',
    'javascript:alert({id})',
    'https://{topic}/{id}',
    'https://logs.example.org:{id}/',
    'https://anna:secret@logs.example.org/{id}',
    'https://logs.example.org/{payload}',
    'https://logs.example.org/{id',
    'https://logs.example.org/"{id}',
    'https://logs.example.org/ {id}',
    7,
    undefined,
  ])('reject the link %j', (url) => {
    expect(catchError({ links: [{ label: 'Logs', url }] }).option).toBe('ui.links[0].url');
  });

  it('reject links without a label, and more than ten', () => {
    const link = { label: 'Logs', url: 'https://logs.example.org/{id}' };
    expect(catchError({ links: [link, { ...link, label: '' }] }).option).toBe('ui.links[1].label');
    expect(catchError({ links: [{ url: link.url }] }).option).toBe('ui.links[0].label');
    expect(catchError({ links: [{ ...link, href: link.url }] }).message).toMatch(
      /^ui\.links\[0\]\.href: unknown option/,
    );
    for (const links of [[], 'x', Array.from({ length: 11 }, () => link)]) {
      expect(catchError({ links }).option).toBe('ui.links');
    }
  });

  it('reject a title of 61 characters', () => {
    expect(catchError({ title: 'x'.repeat(61) }).option).toBe('ui.title');
    expect(catchError({ title: '' }).option).toBe('ui.title');
  });

  it('are accepted again after they were checked', () => {
    const ui = readUi({
      title: 'Shop',
      environment: { name: 'staging', color: 'orange' },
      links: [{ label: 'Logs', url: 'https://logs.example.org/{id}' }],
    });
    expect(readUi(ui)).toEqual(ui);
  });
});
