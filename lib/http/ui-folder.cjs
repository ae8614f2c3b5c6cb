// The only file that knows where it lies: CommonJS, since what is compiled into both module systems can know it in neither.
const { join, sep } = require('node:path');

/** Of `dist/cjs/lib/http`, `dist/esm/lib/http` and, while the package is developed, `lib/http`. */
const ROOT = __dirname
  .split(sep)
  .slice(0, -2)
  .join(sep)
  .replace(/[\\/]dist[\\/](cjs|esm)$/, '');

exports.UI_FOLDER = join(ROOT, 'dist', 'ui');
