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
    back: 'Back',
    cancel: 'Cancel',
    close: 'Close',
    delete: 'Delete …',
    edit: 'Edit …',
    stop: 'Stop',
    tryAgain: 'Try again',
    showAll: 'Show all',
    showFewer: 'Show fewer',
    more: (number: number) => `${count(number)} more`,
    moreTopics: (number: number) => `and ${counted(number, 'more topic')}`,
    showNew: (number: number, isCapped = false) => `Show ${count(number)}${isCapped ? '+' : ''} new`,
    topic: 'Topic',
    allTopics: 'All topics',
    topics: (number: number) => counted(number, 'topic'),
    status: 'Status',
    details: 'Details',
    payload: 'Payload',
    result: 'Result',
    metadata: 'Metadata',
    progress: 'Progress',
    notLoaded: 'This form could not be loaded',
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
    /** Of a tab. */
    title: (screen: string) => `${screen} · Jobs`,
    noPage: 'There is no such page',
    signIn: 'Sign in',
    ended: 'Your session has ended',
    lapsed: 'You have been signed out. Sign in to continue; your work is still here.',
    signInToSee: "Sign in to see this application's jobs.",
    notConfigured:
      'No sign-in is configured. Set the variable `JOBS_ADMIN_TOKEN`, or one of the options `http.adminToken`, `http.adminGuard` and `http.authenticate`.',
    adminToken: 'Admin token',
    wrongToken: 'Wrong token. Check JOBS_ADMIN_TOKEN or http.adminToken.',
    bearerToken: 'Bearer token',
    signInWithToken: 'Sign in with a bearer token instead',
    signInToApplication: 'Sign in to the application',
    signInInNewTab: 'Sign in to the application (new tab)',
    signInElsewhere: 'Sign in to the application in another tab, then try again.',
    noJobs: 'No jobs to show',
    mayNotRead: 'You may not see jobs. The options `http.readRule` and `http.manageRule` decide who may.',
    mayOnlyEnqueue:
      'You may enqueue jobs, but not see them. The options `http.readRule` and `http.manageRule` decide who may.',
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

  overview: {
    attention: 'Needs attention',
    calm: 'No topic needs attention.',
    /** `attempts` of the last five minutes; none: its jobs wait for a retry. */
    failing: (rate: string, attempts: number, retrying: number, hasNext: boolean) => {
      const next = hasNext ? ', next {next}' : '';
      return attempts === 0
        ? `{topic}: ${counted(retrying, 'job')} waiting for a retry${next}`
        : `{topic}: ${rate} of ${counted(attempts, 'attempt')} failed in the last 5 minutes${retrying > 0 ? `, ${count(retrying)} retrying` : ''}${next}`;
    },
    paused: (jobs: number) => `{topic}: ${counted(jobs, 'job')} waiting, paused {since}`,
    unhandled: (jobs: number) => `{topic}: ${counted(jobs, 'job')} waiting, and no running worker handles this topic`,
    stalled: (jobs: number, duration: string) =>
      `{topic}: ${counted(jobs, 'job')} waiting, and none has started for ${duration}`,
    seeErrors: 'See errors',
    seeJobs: 'See jobs',
    seeWorkers: 'See workers',
    retryNow: 'Retry now …',
    pause: 'Pause',
    resume: 'Resume',
    window: 'Period of the charts',
    hours: (hours: number) => `${hours} h`,
    throughput: 'Throughput',
    throughputHint: (minutes: number) => `Attempts that ended, ${perMinutes(minutes)}`,
    executionTime: 'Execution time',
    executionTimeHint: (minutes: number) => `How long completed jobs ran, ${perMinutes(minutes)}`,
    waitingTime: 'Waiting time',
    waitingTimeHint: (minutes: number) => `From due to started, ${perMinutes(minutes)}`,
    completed: 'Completed',
    failed: 'Failed',
    retrying: 'Retrying',
    mean: 'Mean',
    chart: 'Chart',
    table: 'Table',
    chartOf: (title: string) => `Chart: ${title}. The table has the same numbers.`,
    tableOf: (title: string) => `${title} as a table`,
    from: 'From',
    topics: 'Topics',
    noJobs: 'No jobs yet',
    firstJob: 'Add a handler for a topic, then enqueue the first job:',
    enqueueHere: 'Enqueue a job here',
  },

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
    attempts: 'Attempts',
    attemptsFailed: 'Failed attempts',
    successRate: 'Success rate',
    mean: 'Mean run time',
    meanWait: 'Mean wait',
    longestWait: 'Longest wait now',
    nothingWaits: 'nothing waits',
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
  jobs: {
    list: 'List of jobs',
    search: 'Search by ID, beginning of a topic, or part of an error',
    searchHint: 'Search by ID, topic or error',
    createdFrom: 'Created from',
    createdBefore: 'Created before',
    from: 'From',
    to: 'To',
    retryingHint: 'Jobs that failed and will run again',
    due: { ready: 'ready', scheduled: 'scheduled' },
    dueHints: { ready: 'Pending jobs that are due', scheduled: 'Pending jobs that wait for their time or for a retry' },
    thisError: (key: string) => `one error …${key}`,
    thisErrorHint: 'Only jobs with this error',
    clear: 'Clear',
    noMatch: 'No job matches',
    noMatchHint: 'Remove a filter, or look at another page.',
    noMatchSearchHint:
      'A search finds a whole ID, the beginning of a topic, or part of the error of the newest failed jobs.',
    showAll: 'Show all jobs',
  },

  bulk: {
    region: 'Selection',
    selected: (number: number) => `${count(number)} selected`,
    allSelected: (total: string) => `All ${total} matching selected`,
    selectAll: (total: string) => `Select all ${total} matching`,
    onlyThisPage: 'Only this page',
    clear: 'Clear the selection',
    title: {
      requeue: (jobs: string) => `Re-queue ${jobs}`,
      promote: (jobs: string) => `Run ${jobs} now`,
      cancel: (jobs: string) => `Cancel ${jobs}`,
      delete: (jobs: string) => `Delete ${jobs}`,
    },
    /** The jobs of a title. */
    jobs: {
      matching: 'all matching jobs',
      error: 'jobs with this error',
      retrying: 'jobs that wait for a retry',
    },
    counting: 'Counting jobs …',
    none: {
      requeue: 'No job would change. Only failed and cancelled jobs can be re-queued.',
      promote: 'No job would change. Only pending jobs that wait for their time can be run now.',
      cancel: 'No job would change. Only pending and processing jobs can be cancelled.',
      delete: 'No job would change. Only pending, completed, failed and cancelled jobs can be deleted.',
    },
    would: {
      requeue: '{jobs} would be re-queued. They run again from the first attempt.',
      promote: '{jobs} would run now. They keep their remaining retries.',
      cancel: '{jobs} would be cancelled. Running jobs are asked to stop.',
      delete: '{jobs} would be deleted. This cannot be undone.',
    },
    moreThan: (jobs: number) => `more than ${counted(jobs, 'job')}`,
    countedAt: (time: string) => `Counted at ${time}. Jobs that change later are left out.`,
    running: {
      requeue: '{jobs} re-queued so far …',
      promote: '{jobs} made due so far …',
      cancel: '{jobs} cancelled or asked to stop so far …',
      delete: '{jobs} deleted so far …',
    },
    done: {
      requeue: '{jobs} re-queued.',
      promote: '{jobs} made due.',
      cancel: '{jobs} cancelled or asked to stop.',
      delete: '{jobs} deleted.',
    },
    /** `statuses`: how the first ones are now, such as `7 completed`. */
    tried: (jobs: string, statuses: readonly string[]) =>
      `{done} of ${jobs} re-queued${statuses.length > 0 ? `: ${statuses.join(', ')}` : ''}`,
    statusCount: (number: number, status: string) => `${count(number)} ${status}`,
    counted: 'Counted',
    changed: { requeue: 'Re-queued', promote: 'Made due', cancel: 'Cancelled', delete: 'Deleted' },
    skipped: (jobs: number, reason: string) => `${counted(jobs, 'job')} skipped: ${reason}`,
    alreadyIn: (status: string) => `already ${status}`,
    /** By the text of the API. */
    reasons: {
      'there is no such job': 'already deleted',
      'its unique key is held by another job': 'another job has the same unique key',
      'an open transaction holds it': 'locked by an open transaction',
      'the database refuses it': 'the database refused the change',
      'its topic is not allowed': 'you may not change its topic',
      'it is due already': 'already due',
      'it has changed since the count': 'changed since the count',
    } as Readonly<Record<string, string>>,
    pace: 'Pace',
    paceHint: 'All at once, or e.g. 50/m',
    paceWrong: 'Use a pace such as 5/s, 50/m or 500/h.',
    paceEnd: (duration: string) => `The last job becomes due in about ${duration}.`,
    typeDelete: 'Type “delete” to confirm',
    stopHere: 'Stop here',
    leave: { requeue: 'Cancel', promote: 'Cancel', cancel: 'Do not cancel', delete: 'Cancel' },
    runFirst: (jobs: number) => `Run ${count(jobs)} first`,
    rest: (jobs: number) => `the other ${counted(jobs, 'job')}`,
    unknownRest: 'the other jobs',
  },

  /** One job. */
  job: {
    job: 'Job',
    all: 'All jobs',
    missing: 'There is no such job',
    missingHint: 'It was deleted by a user or because of its age, or its ID is wrong: {id}',
    error: 'Error',
    latestError: 'Latest error',
    steps: 'Steps',
    noResult: 'The handler returned nothing.',
    timeline: 'Timeline',
  },

  /** The attempts of a job, its errors and its log. */
  timeline: {},

  errors: {
    list: 'Groups of errors',
    /** `most`: how many jobs of each kind are grouped, if there are more. */
    window: (counts: string, most: number | null) =>
      `${counts}, grouped by topic and message.${most === null ? '' : ` Based on the latest ${count(most)} of each kind.`}`,
    none: 'Nothing has failed',
    noneHint: 'Failed jobs and jobs that wait for a retry are listed here by their error.',
    withError: (counts: string) => `${counts}, with this error`,
    noMessage: '(without a message)',
    example: 'Latest example',
    first: 'first {at}',
    last: 'last {at}',
    gone: 'no longer failing',
    requeueAll: 'Re-queue all …',
    retryNow: 'Retry now …',
  },

  schedules: {
    new: 'New schedule',
    none: 'No schedules yet',
    noneHint: 'A schedule adds a job at each time of a pattern. Declare one in the code:',
    all: 'All schedules',
    missing: 'There is no such schedule',
    missingHint: 'It was deleted, or its name is wrong: {name}',
    nextRuns: 'Next runs',
    nextWhilePaused: 'The schedule is paused. If you resume it, it runs at:',
    noNext: 'The pattern has no further run.',
  },

  /** Words for cron patterns. */
  patterns: {},

  workers: {
    versions:
      'Processes with different schema versions run together. During an upgrade this is expected. Otherwise restart the older ones.',
    version: (processes: number) => `{version}: ${counted(processes, 'process', 'processes')}`,
    none: 'No process runs jobs',
    noneLive: 'No process runs jobs. Due jobs wait until one starts.',
    noneHint: "Due jobs wait. Start a process of the application whose role is not `'producer'`:",
    gone: 'The process {worker} has ended and is no longer listed.',
  },

  groups: {
    group: 'Group',
    all: 'All groups',
    only: 'Only unfinished groups',
    noneUnfinished: 'No unfinished groups',
    noneMore: 'No more groups',
    none: 'No groups yet',
    noneHint: 'A group tracks many jobs until they end, then starts another job:',
    showAll: 'Show all groups',
    pages: 'Pages',
    newest: 'Newest',
    previous: 'Previous',
    next: 'Next',
    started: 'Started',
    finished: 'Finished',
    notYet: 'not yet',
    startedAt: 'started {at}',
    notFinished: 'not finished',
    finishedAfter: (duration: string) => `finished {at}, after ${duration}`,
    missing: 'There is no such group',
    missingHint: 'It was deleted with its jobs, or its ID is wrong.',
    cancel: 'Cancel group …',
    progress: (ended: string) => `Progress: ${ended}`,
    callbacks: 'Jobs that wait for this group',
    deletedJob: 'deleted job',
    members: 'Members',
    membersOf: 'Members of the group',
    onlyStatus: (status: string) => `only ${status}`,
    noMember: (status: string) => `No member is ${status}.`,
    noMembers: 'The group has no jobs.',
  },

  /** Limits of topics. */
  limits: {},

  /** The forms that enqueue and re-queue, and the JSON field. */
  forms: {
    delay: 'Delay',
    delayHint: 'e.g. 10m',
    delayWrong: 'Use a duration such as 30s, 10m or 2h.',
    priority: 'Priority',
    priorityHint: '0 (lower runs first)',
    retries: 'Retries',
    retriesHint: 'default',
    uniqueKey: 'Unique key',
    uniqueKeyHint: 'none',
    unknownTopic: 'Unknown topic. The job will wait until a worker handles it.',
    enqueued: (job: string) => `Enqueued ${job}`,
    keyTaken: (job: string) => `Not enqueued: ${job} has the same unique key`,
  },
};
