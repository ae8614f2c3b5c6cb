const { dirname, join } = require('node:path');

// CommonJS, so that both builds can load TypeORM in the middle of a call. It is an optional peer of this package. Bundlers skip a
// missing package only where its `require` stands in `try`.

/** @param {unknown} error */
const readCode = (error) => /** @type {{ code?: unknown }} */ (error).code;

/** Returns `typeorm`. */
exports.loadTypeOrm = () => {
  try {
    return require('typeorm');
  } catch (error) {
    throw new Error("could not load 'typeorm'; run 'npm install typeorm', or use the option database", {
      cause: error,
    });
  }
};

/** Returns `@nestjs/typeorm`, or `undefined` if it or TypeORM is not installed. */
exports.loadNestTypeOrm = () => {
  try {
    require('typeorm');
    return require('@nestjs/typeorm');
  } catch (error) {
    switch (readCode(error)) {
      case 'MODULE_NOT_FOUND':
        return undefined;
      case 'ERR_PACKAGE_PATH_NOT_EXPORTED':
        return loadByPath();
      default:
        throw error;
    }
  }
};

/** `@nestjs/typeorm` 12.0.0 exports its module to `import` only. */
const loadByPath = () => {
  const manifest = require.resolve('@nestjs/typeorm/package.json');
  return require(join(dirname(manifest), require(manifest).main));
};
