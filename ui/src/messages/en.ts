const whole = new Intl.NumberFormat('en');

/** `12,340`. */
const count = (number: number): string => whole.format(number);

/** `1 job`, `12 jobs`. */
const counted = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

const perMinutes = (minutes: number): string => (minutes === 1 ? 'per minute' : `per ${count(minutes)} minutes`);

/** Plain English: say who does what, verb first. Name the thing. */
export const en = {
  /** Words that several screens use. */
  common: {
    close: 'Close',
  },

  /** Numbers, durations, moments. */
  amounts: {
    jobs: (number: number) => counted(number, 'job'),
  },

  /** The frame of all screens: names of screens, menus, sign-in, keyboard shortcuts, notices, live updates. */
  frame: {
    brand: 'Jobs of this application',
    screens: 'Screens',
    overview: 'Overview',
    jobs: 'Jobs',
    errors: 'Errors',
    schedules: 'Schedules',
    workers: 'Workers',
    groups: 'Groups',
    enqueue: 'Enqueue',
    enqueueJob: 'Enqueue a job',
    shortcuts: 'Keyboard shortcuts',
    keysOn: 'Enable keyboard shortcuts',
    keys: { search: 'Search', requeueThis: 'Re-queue this job' },
    theme: 'Theme',
    themes: { system: 'System', light: 'Light', dark: 'Dark' },
    language: 'Language',
    signOut: 'Sign out',
  },

  /** Statuses of jobs and what can be done with them. */
  actions: {
    statuses: {
      pending: 'pending',
      retrying: 'retrying',
      blocked: 'blocked',
      processing: 'processing',
      cancelling: 'cancelling',
      completed: 'completed',
      failed: 'failed',
      cancelled: 'cancelled',
      deleted: 'deleted',
    },
    /** What buttons say. */
    labels: { requeue: 'Re-queue', promote: 'Run now', cancel: 'Cancel', delete: 'Delete' },
  },

  /** What a refused or failed request says. */
  problems: {},

  overview: {},

  topics: {},

  /** The page of a topic, with its charts and its handlers. */
  topic: {
    back: 'All topics',
    missing: 'Unknown topic',
    missingHint: 'No job has this topic, and no running worker handles it: {topic}',
    jobs: 'Show jobs',
    pause: 'Pause',
    resume: 'Resume',
    limits: 'Limits …',
    enqueue: 'Enqueue …',
    window: (hours: number) => (hours === 1 ? 'Last hour' : `Last ${count(hours)} hours`),
    windowOf: 'Window of figures and charts',
    hours: (hours: number) => `${count(hours)} h`,
    attempts: 'Attempts',
    attemptsFailed: 'Failed attempts',
    successRate: 'Success rate',
    mean: 'Mean run time',
    meanShort: 'Mean',
    meanWait: 'Mean wait',
    longestWait: 'Longest wait now',
    nothingWaits: 'nothing waits',
    throughput: 'Throughput',
    throughputHint: (minutes: number) => `Attempts that ended, ${perMinutes(minutes)}`,
    runTime: 'Run time',
    runTimeHint: (minutes: number) => `How long completed jobs ran, ${perMinutes(minutes)}`,
    waitTime: 'Wait',
    waitTimeHint: (minutes: number) => `From due to started, ${perMinutes(minutes)}`,
    completed: 'Completed',
    failed: 'Failed',
    retrying: 'Retrying',
    errors: 'Errors',
    noErrors: 'No job of this topic has failed.',
    allErrors: 'Show all errors',
    handlers: 'Workers that handle this topic',
    noHandlers: 'No running worker handles this topic. Its jobs wait until one does.',
    differ: 'The options differ between the workers: the last deployment may not be complete.',
    worker: 'Worker',
    concurrency: 'Concurrency',
    ofProcess: (jobs: number) => `${count(jobs)}, all topics together`,
    timeout: 'Timeout',
    retries: 'Retries',
    backoff: 'Backoff',
    backoffs: { fixed: 'fixed', quadratic: 'quadratic', exponential: 'exponential' },
    backoffText: (type: string, delay: string, most: string) => `${type} from ${delay}, at most ${most}`,
    backoffFunction: 'a function',
    call: 'Jobs in one call',
    transactional: 'in a transaction',
  },

  /** The list of jobs, with its filters. */
  jobs: {},

  bulk: {
    region: 'Selection',
    selected: (number: number) => `${count(number)} selected`,
    allSelected: (total: string) => `All ${total} matching selected`,
    selectAll: (total: string) => `Select all ${total} matching`,
    onlyThisPage: 'Only this page',
    clear: 'Clear the selection',
  },

  /** One job. */
  job: {},

  /** The attempts of a job, its errors and its log. */
  timeline: {},

  errors: {},

  schedules: {},

  /** Words for cron patterns. */
  patterns: {},

  workers: {},

  groups: {},

  /** Limits of topics. */
  limits: {},

  /** The forms that enqueue and re-queue, and the JSON field. */
  forms: {},
};
