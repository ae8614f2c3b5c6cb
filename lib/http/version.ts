/** Version of this package; a test holds it to package.json, which no build can reach from here. */
export const VERSION = '0.1.0';
