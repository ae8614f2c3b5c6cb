import type { HttpDoor } from './http-exchange.js';

/** How doors are opened in an application of one adapter. */
export interface AdapterDoors {
  /** From now on everything below `path` comes to the door. */
  open(path: string, door: HttpDoor): void;
}
