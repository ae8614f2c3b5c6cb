import type { Messages } from './messages.js';

const whole = new Intl.NumberFormat('zh-CN');

const count = (number: number): string => whole.format(number);

export const zhCn: Messages = {
  common: {},

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
    theme: '主题',
    themes: { system: '跟随系统', light: '浅色', dark: '深色' },
    language: '语言',
    signOut: '退出登录',
  },

  actions: {},

  problems: {},

  overview: {},

  topics: {},

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
