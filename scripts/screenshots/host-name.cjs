// Loaded before the application: pictures show this name instead of the machine's.
const { syncBuiltinESMExports } = require('node:module');
const os = require('node:os');

os.hostname = () => 'web-1';
syncBuiltinESMExports();
