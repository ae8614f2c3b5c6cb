import type { Fault } from './fault.js';
import { kill } from './kill.js';
import { pause } from './pause.js';

/** All faults of the campaign. */
export const faults: readonly Fault[] = [kill, pause];
