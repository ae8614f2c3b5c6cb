import { silentLogger } from '../../lib/core/logger.js';
import { warnOnce } from '../../lib/core/warn-once.js';

describe('warnOnce', () => {
  it('logs each key once, and at most 1,000 of a subject', () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (line: unknown) => void lines.push(String(line)) };
    for (let key = 0; key < 2_000; key += 1) {
      warnOnce(logger, 'results', `${key}`, `line ${key}`);
      warnOnce(logger, 'results', `${key}`, 'again');
    }
    expect(lines).toHaveLength(1_000);
    expect(lines).not.toContain('again');
    warnOnce(logger, 'payload keys', '0', 'another subject');
    expect(lines.at(-1)).toBe('another subject');
  });
});
