import { Announcer } from '../../../ui/src/data/announcer.js';

describe('announcements of the admin UI', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('come at most every 10 seconds, with the newest text', () => {
    const texts: string[] = [];
    const announcer = new Announcer((text) => texts.push(text));
    for (const text of ['1 new job', '2 new jobs', '3 new jobs']) announcer.say(text);
    expect(texts).toEqual(['1 new job']);
    jest.advanceTimersByTime(9_999);
    expect(texts).toEqual(['1 new job']);
    jest.advanceTimersByTime(1);
    expect(texts).toEqual(['1 new job', '3 new jobs']);
    jest.advanceTimersByTime(60_000);
    announcer.say('4 new jobs');
    expect(texts).toEqual(['1 new job', '3 new jobs', '4 new jobs']);
    announcer.say('5 new jobs');
    announcer.say('');
    jest.advanceTimersByTime(60_000);
    expect(texts.slice(3)).toEqual(['']);
    announcer.say('1 new job');
    announcer.say('2 new jobs');
    announcer.stop();
    jest.advanceTimersByTime(60_000);
    expect(texts.slice(4)).toEqual(['1 new job']);
  });
});
