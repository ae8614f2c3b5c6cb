import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(require.resolve('@nestjs/core/package.json'), 'utf8')) as { version: string };

/** Whether these tests run on Nest 11, as one Jest project of the matrix does. */
export const isOnNest11 = manifest.version.startsWith('11.');
