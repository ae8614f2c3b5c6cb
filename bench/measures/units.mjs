export const jobsPerSecond = { unit: 'jobs/s', better: /** @type {const} */ ('more') };
export const milliseconds = { unit: 'ms', better: /** @type {const} */ ('less') };
