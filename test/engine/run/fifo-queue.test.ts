import { FifoQueue } from '../../../lib/engine/run/fifo-queue.js';

describe('a queue in an array', () => {
  it('gives its members back in the order in which they came', () => {
    const queue = new FifoQueue<string>();
    ['a', 'b', 'c'].forEach((member) => queue.push(member));
    expect(queue.shift()).toBe('a');
    queue.push('d');
    expect([queue.length, queue.all]).toEqual([3, ['b', 'c', 'd']]);
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual(['b', 'c', 'd', undefined]);
    expect([queue.length, queue.all]).toEqual([0, []]);
  });

  it('is of use again when it has been empty', () => {
    const queue = new FifoQueue<number>();
    expect(queue.shift()).toBeUndefined();
    queue.push(1);
    expect([queue.shift(), queue.shift()]).toEqual([1, undefined]);
    queue.push(2);
    expect([queue.length, queue.shift()]).toEqual([1, 2]);
  });

  it('gives several of the first ones away', () => {
    const queue = new FifoQueue<number>();
    [1, 2, 3, 4].forEach((member) => queue.push(member));
    queue.shift();
    expect([queue.take(2), queue.all, queue.take(0), queue.take(9), queue.take(1)]).toEqual([[2, 3], [4], [], [4], []]);
  });

  it.each([100, 5_000])('keeps the order with a backlog of %i, and forgets what has left it', (backlog) => {
    const queue = new FifoQueue<number>();
    for (let member = 0; member < backlog; member += 1) queue.push(member);
    for (let turn = 0; turn < 20_000; turn += 1) {
      queue.push(backlog + turn);
      expect(queue.shift()).toBe(turn);
    }
    const { members } = queue as unknown as { members: unknown[] };
    expect(queue).toHaveLength(backlog);
    expect(members.length).toBeLessThanOrEqual(Math.max(backlog * 2, backlog + 1_001));
  });
});
