/** Version of this package. No build can read package.json from here; a test compares the two. */
export const VERSION = '0.1.0';
