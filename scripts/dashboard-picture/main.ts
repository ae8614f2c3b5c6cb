import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { JobsClient } from '../../client/index.js';
import { findFreePort } from '../../test/support/free-port.js';
import { until } from '../../test/support/wait.js';
import { checkAlerts, checkVariables, readPanels, readRules } from './panels.js';
import { drawPicture } from './picture.js';
import { Prometheus } from './prometheus.js';

/*
 * Checks every query of the Grafana dashboard and of the alerts against a real Prometheus, and draws the panels from its
 * data. Meanwhile a test shop of two processes runs for ten minutes.
 *
 *   npm run docs:dashboard
 *
 * It needs Prometheus (`apt-get install prometheus`). DASHBOARD_SECONDS changes how long, JOBS_PROMETHEUS names the program.
 */

const ROOT = resolve(__dirname, '../..');
const SECONDS = Number(process.env.DASHBOARD_SECONDS ?? 600);
const TOKEN = 'a-token-for-the-dashboard';
/** When the second process crashes and when it is started again, as parts of the whole time. */
const CRASH = 0.55;
const RESTART = 0.65;

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dashboard-'));
  const ports = [await findFreePort(), await findFreePort(), await findFreePort()];
  const children: ChildProcess[] = [];
  const startShop = async (port: number, seconds: number): Promise<ChildProcess> => {
    const child = startProcess(folder, port, seconds);
    children.push(child);
    await until(() => isUp(port), { timeoutMs: 60_000, message: 'a process of the shop' });
    return child;
  };
  const prometheus = await Prometheus.start(folder, ports[0]!, readRules(), {
    ports: ports.slice(1),
    path: '/api/jobs/metrics',
    token: TOKEN,
    everySeconds: 1,
  });
  try {
    const start = Date.now() / 1_000;
    await startShop(ports[1]!, SECONDS);
    const second = await startShop(ports[2]!, 0);
    await sleep(SECONDS * CRASH * 1_000);
    await until(() => isRunningJobs(ports[1]!, second.pid!), {
      timeoutMs: 60_000,
      message: 'jobs of the second process',
    });
    second.kill('SIGKILL');
    await sleep(SECONDS * (RESTART - CRASH) * 1_000);
    await startShop(ports[2]!, 0);
    await sleep(SECONDS * (1 - RESTART) * 1_000);

    const panels = await readPanels(prometheus, start, Date.now() / 1_000);
    await checkVariables(prometheus);
    await checkAlerts(prometheus);
    await Promise.all(children.map(end));
    await checkThatNoWorkerAlerts(prometheus);
    await drawPicture(panels, join(ROOT, 'docs/images/dashboard-1280-light.png'));
    console.log(`${panels.length} panels`);
  } finally {
    await Promise.all(children.map(end));
    await prometheus.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function startProcess(folder: string, port: number, seconds: number): ChildProcess {
  const program = [
    '-r',
    join(ROOT, 'test/processes/support/register-typescript.cjs'),
    join(__dirname, 'shop-process.ts'),
  ];
  return spawn(process.execPath, program, {
    cwd: ROOT,
    env: {
      ...process.env,
      SHOP_DATABASE: join(folder, 'shop.sqlite'),
      SHOP_PORT: String(port),
      SHOP_TOKEN: TOKEN,
      SHOP_SECONDS: String(seconds),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function isUp(port: number): Promise<boolean> {
  return clientOf(port)
    .stats()
    .then(
      () => true,
      () => false,
    );
}

/** A process that crashes between two jobs loses no lease. */
async function isRunningJobs(port: number, pid: number): Promise<boolean> {
  const { items } = await clientOf(port).list({ status: 'processing' });
  return items.filter(({ locked_by: worker }) => worker?.split(':')[1] === String(pid)).length >= 2;
}

function clientOf(port: number): JobsClient {
  return new JobsClient({ baseUrl: `http://127.0.0.1:${port}`, token: TOKEN });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}

/** Without any process there is no metric either. */
async function checkThatNoWorkerAlerts(prometheus: Prometheus): Promise<void> {
  const rule = (await prometheus.rules()).find(({ name }) => name === 'JobsWithoutWorker')!;
  await until(async () => (await prometheus.instant(rule.query)).length > 0, {
    timeoutMs: 30_000,
    message: 'the alert JobsWithoutWorker',
  });
  console.log(`${rule.name}: fires when all processes have ended`);
}

void main();
