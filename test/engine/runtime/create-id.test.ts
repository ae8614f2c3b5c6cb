import { validate, version } from 'uuid';
import { createId } from '../../../lib/engine/runtime/create-id.js';

describe('an id', () => {
  afterEach(() => jest.restoreAllMocks());

  const create = (count: number): string[] => Array.from({ length: count }, createId);

  it('is a UUID of version 7 that begins with the time', () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.parse('2100-01-01T00:00:00Z'));
    const [id] = create(1);
    expect(validate(id)).toBe(true);
    expect(version(id!)).toBe(7);
    expect(parseInt(id!.replace('-', '').slice(0, 12), 16)).toBe(Date.parse('2100-01-01T00:00:00Z'));
  });

  it('is greater than the one before, whatever the clock does', () => {
    const start = Date.parse('2101-01-01T00:00:00Z');
    const ids = [0, 0, 1, -60_000, 2, 2, 1, 3].flatMap((ms) => {
      jest.spyOn(Date, 'now').mockReturnValue(start + ms);
      return create(3_000);
    });
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  });

  it('has random bits: two processes with the same time and counter differ', () => {
    jest.spyOn(Date, 'now').mockReturnValue(Date.parse('2102-01-01T00:00:00Z'));
    const ends = create(1_000).map((id) => id.slice(-12));
    expect(new Set(ends).size).toBe(1_000);
  });
});
