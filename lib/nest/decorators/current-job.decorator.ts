import { createParamDecorator } from '@nestjs/common';
import type { JobContext } from '../job-context.js';

/**
 * The job itself, for a handler whose other parameters are decorated.
 *
 * @publicApi
 */
export const CurrentJob = createParamDecorator((_data, context) => context.getArgByIndex<JobContext>(0));
