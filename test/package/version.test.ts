import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../../lib/http/openapi.js';

it('the version that the API states is that of the package', () => {
  const manifest = readFileSync(join(__dirname, '../../package.json'), 'utf8');
  expect(VERSION).toBe((JSON.parse(manifest) as { version: string }).version);
});
