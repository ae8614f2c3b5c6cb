// CommonJS, because the other files are compiled to both module systems and cannot know their folder in either.
const { join } = require('node:path');

/** `dist/cjs/lib/http`, `dist/esm/lib/http`, or `lib/http` in this repository. A bundle is elsewhere. */
const here = typeof __dirname === 'string' ? __dirname : '';
const [, root] = /^(.*?)(?:[\\/]dist[\\/](?:cjs|esm))?[\\/]lib[\\/]http$/.exec(here) ?? [];

exports.UI_FOLDER = root === undefined ? undefined : join(root, 'dist', 'ui');
