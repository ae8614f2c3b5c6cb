const PREFIX = 'nestjs-jobs:';

/** What the browser keeps for us; nothing, where it must not keep anything. */
class Kept {
  constructor(private readonly storage: () => Storage) {}

  get(name: string): string | null {
    try {
      return this.storage().getItem(PREFIX + name);
    } catch {
      return null;
    }
  }

  set(name: string, value: string | null): void {
    try {
      if (value === null) this.storage().removeItem(PREFIX + name);
      else this.storage().setItem(PREFIX + name, value);
    } catch {
      // It lasts until the page is left, then.
    }
  }
}

/** Until the tab is closed. */
export const tabStorage = new Kept(() => sessionStorage);
/** For ever. */
export const browserStorage = new Kept(() => localStorage);
