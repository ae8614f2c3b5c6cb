// CommonJS, so that both builds can load an optional package in the middle of a call. Bundlers skip a missing package in `try`.

/** Returns `@opentelemetry/api`, or `undefined` if it is not installed. */
exports.loadOpenTelemetry = () => {
  try {
    return require('@opentelemetry/api');
  } catch {
    return undefined;
  }
};

/** Returns `prom-client`, or `undefined` if it is not installed. */
exports.loadPromClient = () => {
  try {
    return require('prom-client');
  } catch {
    return undefined;
  }
};
