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

/** Returns `typeorm`. */
exports.loadTypeOrm = () => require('typeorm');

/** Returns `@nestjs/typeorm`, or `undefined` if it or TypeORM is not installed. */
exports.loadNestTypeOrm = () => ifInstalled(() => require('typeorm') && require('@nestjs/typeorm'));
