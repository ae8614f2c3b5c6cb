import { useUtc } from '../text/time-zone.js';
import { browserStorage } from './storage.js';

export const TIME_ZONES = ['local', 'utc'] as const;
export type TimeZoneName = (typeof TIME_ZONES)[number];

/** The time zone of the page: the reader's own, or UTC. */
class TimeZone {
  name: TimeZoneName = $state(browserStorage.get('time-zone') === 'utc' ? 'utc' : 'local');

  constructor() {
    this.#use();
  }

  choose(name: TimeZoneName): void {
    browserStorage.set('time-zone', name === 'local' ? null : name);
    this.name = name;
    this.#use();
  }

  #use(): void {
    useUtc(this.name === 'utc', () => void this.name);
  }
}

export const timeZone = new TimeZone();
