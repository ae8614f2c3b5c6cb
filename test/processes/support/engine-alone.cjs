// What programs without Nest use of the built package; see take-engine.cjs.
const { join } = require('node:path');

const built = join(__dirname, '../../../dist/cjs/lib');
const { JobsEngine } = require(join(built, 'engine/jobs-engine.js'));
const { createJobStore } = require(join(built, 'typeorm/create-job-store.js'));
const { JobsError } = require(join(built, 'core/errors.js'));

module.exports = { createJobStore, JobsEngine, JobsError };
