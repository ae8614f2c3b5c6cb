/**
 * @matrix all
 * @slow
 */

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

const TSC = createRequire(__filename).resolve('typescript/bin/tsc');

describe('the types of the adapters', () => {
  it("accept each ORM's own types", async () => {
    const compiled = promisify(execFile)(process.execPath, [TSC, '--noEmit', '--pretty', 'false', '-p', __dirname]);
    const complaints = await compiled.then(
      () => '',
      ({ stdout }: { stdout: string }) => stdout,
    );
    expect(complaints).toBe('');
  }, 300_000);
});
