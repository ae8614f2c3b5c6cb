import { busyStorm } from './busy-storm.js';
import { clocksApart } from './clocks-apart.js';
import { cut } from './cut.js';
import { cutNetwork } from './cut-network.js';
import { drain } from './drain.js';
import { drainAndKill } from './drain-and-kill.js';
import { failover } from './failover.js';
import type { Fault } from './fault.js';
import { fullDisk } from './full-disk.js';
import { heldSnapshot } from './held-snapshot.js';
import { kill } from './kill.js';
import { killAtTicks } from './kill-at-ticks.js';
import { killBeforeFollowUps } from './kill-before-follow-ups.js';
import { lag } from './lag.js';
import { limitsUnderKills } from './limits-under-kills.js';
import { linksUnderKills } from './links-under-kills.js';
import { pause } from './pause.js';
import { poison } from './poison.js';
import { sessionPoolerRestart, transactionPoolerRestart } from './pooler-restart.js';
import { readOnly } from './read-only.js';
import { restart } from './restart.js';
import { rollingDeployment } from './rolling-deployment.js';
import { stall } from './stall.js';
import { standbyOutage } from './standby-outage.js';
import { terminateBackends } from './terminate-backends.js';

/** All faults of the campaign. */
export const faults: readonly Fault[] = [
  kill,
  pause,
  restart,
  readOnly,
  failover,
  standbyOutage,
  terminateBackends,
  sessionPoolerRestart,
  transactionPoolerRestart,
  lag,
  stall,
  cut,
  cutNetwork,
  heldSnapshot,
  busyStorm,
  fullDisk,
  drain,
  drainAndKill,
  poison,
  killAtTicks,
  clocksApart,
  limitsUnderKills,
  linksUnderKills,
  killBeforeFollowUps,
  rollingDeployment,
];
