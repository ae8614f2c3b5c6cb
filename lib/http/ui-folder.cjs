// The only file that knows where it lies: CommonJS, since what is compiled into both module systems can know it in neither.
const { join } = require('node:path');

/** Of `dist/cjs/lib/http`, `dist/esm/lib/http` and, while the package is developed, `lib/http`. A bundle lies elsewhere. */
const here = typeof __dirname === 'string' ? __dirname : '';
const [, root] = /^(.*?)(?:[\\/]dist[\\/](?:cjs|esm))?[\\/]lib[\\/]http$/.exec(here) ?? [];

exports.UI_FOLDER = root === undefined ? undefined : join(root, 'dist', 'ui');
