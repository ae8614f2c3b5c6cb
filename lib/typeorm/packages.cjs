const { dirname, join } = require('node:path');

// CommonJS, so that both builds can load TypeORM in the middle of a call. It is an optional peer of this package.

/** @param {() => unknown} load */
const ifInstalled = (load) => {
  try {
    return load();
  } catch (error) {
    if (/** @type {{ code?: unknown }} */ (error).code === 'MODULE_NOT_FOUND') {
      return undefined;
    }
    throw error;
  }
};

/** `@nestjs/typeorm` 12.0.0 exports its module to `import` only: it is loaded by its path then. */
const loadTokens = () => {
  try {
    return require('@nestjs/typeorm');
  } catch (error) {
    if (/** @type {{ code?: unknown }} */ (error).code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') {
      throw error;
    }
    const manifest = require.resolve('@nestjs/typeorm/package.json');
    return require(join(dirname(manifest), require(manifest).main));
  }
};

/** Returns `typeorm`. */
exports.loadTypeOrm = () => require('typeorm');

/** Returns `@nestjs/typeorm`, or `undefined` if it or TypeORM is not installed. */
exports.loadNestTypeOrm = () => ifInstalled(() => require('typeorm') && loadTokens());
