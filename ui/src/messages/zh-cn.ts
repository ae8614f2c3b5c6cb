/*
 * Terms: job 任务 · topic 主题 · queue 队列 · enqueue 入队 · re-queue 重新入队 · run now 立即执行 · retry 重试 · attempt 尝试 ·
 * worker 工作进程 · process 进程 · handler 处理器 · schedule 定时计划 · group 任务组 · member 组内任务 · lease 租约 · payload 载荷 ·
 * metadata 元数据 · result 结果 · due 到期 · ready 就绪 · blocked 被阻塞 · pending 等待中 · processing 执行中 · pace 节奏 · limit 限制 ·
 * priority 优先级 · unique key 唯一键 · delay 延迟 · time zone 时区 · pattern 表达式 · log 日志 · token 令牌
 */
import type { Messages } from './messages.js';

const whole = new Intl.NumberFormat('zh-CN');

const count = (number: number): string => whole.format(number);

const perMinutes = (minutes: number): string => (minutes === 1 ? '每分钟' : `每 ${count(minutes)} 分钟`);

export const zhCn: Messages = {
  common: {
    close: '关闭',
  },

  amounts: {
    jobs: (number) => `${count(number)} 个任务`,
  },

  frame: {
    brand: '此应用的任务',
    screens: '页面',
    overview: '概览',
    jobs: '任务',
    errors: '错误',
    schedules: '定时计划',
    workers: '工作进程',
    groups: '任务组',
    enqueue: '入队',
    enqueueJob: '将任务入队',
    shortcuts: '键盘快捷键',
    keysOn: '启用键盘快捷键',
    keys: { search: '搜索', requeueThis: '重新入队此任务' },
    theme: '主题',
    themes: { system: '跟随系统', light: '浅色', dark: '深色' },
    language: '语言',
    signOut: '退出登录',
  },

  actions: {
    statuses: {
      pending: '等待中',
      retrying: '重试中',
      blocked: '被阻塞',
      processing: '执行中',
      cancelling: '取消中',
      completed: '已完成',
      failed: '失败',
      cancelled: '已取消',
      deleted: '已删除',
    },
    labels: { requeue: '重新入队', promote: '立即执行', cancel: '取消', delete: '删除' },
  },

  problems: {},

  overview: {},

  topics: {},

  topic: {
    back: '全部主题',
    missing: '未知主题',
    missingHint: '没有任务使用此主题，也没有运行中的工作进程处理它：{topic}',
    jobs: '查看任务',
    pause: '暂停',
    resume: '恢复',
    limits: '限制…',
    enqueue: '入队…',
    window: (hours) => `最近 ${count(hours)} 小时`,
    windowOf: '数据和图表的时间范围',
    hours: (hours) => `${count(hours)} 小时`,
    attempts: '执行次数',
    attemptsFailed: '失败次数',
    successRate: '成功率',
    mean: '平均运行时间',
    meanShort: '平均',
    meanWait: '平均等待',
    longestWait: '当前最长等待',
    nothingWaits: '无等待',
    throughput: '吞吐量',
    throughputHint: (minutes) => `已结束的执行次数，${perMinutes(minutes)}`,
    runTime: '运行时间',
    runTimeHint: (minutes) => `已完成任务的运行时长，${perMinutes(minutes)}`,
    waitTime: '等待',
    waitTimeHint: (minutes) => `从到期到开始，${perMinutes(minutes)}`,
    completed: '已完成',
    failed: '失败',
    retrying: '重试中',
    errors: '错误',
    noErrors: '此主题没有失败的任务。',
    allErrors: '查看全部错误',
    handlers: '处理此主题的工作进程',
    noHandlers: '没有运行中的工作进程处理此主题。任务会一直等待。',
    differ: '各工作进程的选项不同：上次部署可能尚未完成。',
    worker: '工作进程',
    concurrency: '并发数',
    ofProcess: (jobs) => `${count(jobs)}（所有主题合计）`,
    timeout: '超时',
    retries: '重试次数',
    backoff: '退避',
    backoffs: { fixed: '固定', quadratic: '平方', exponential: '指数' },
    backoffText: (type, delay, most) => `${type}，从 ${delay} 起，最多 ${most}`,
    backoffFunction: '函数',
    call: '每次调用的任务数',
    transactional: '在事务中',
  },

  jobs: {},

  bulk: {
    region: '选择',
    selected: (number) => `已选 ${count(number)} 项`,
    allSelected: (total) => `已选全部 ${total} 个匹配项`,
    selectAll: (total) => `选择全部 ${total} 个匹配项`,
    onlyThisPage: '仅此页',
    clear: '清除选择',
  },

  job: {},

  timeline: {},

  errors: {},

  schedules: {},

  patterns: {},

  workers: {},

  groups: {},

  limits: {},

  forms: {},
};
