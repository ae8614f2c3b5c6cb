/** Whether this is a Date, of whatever realm: tests in Jest have two. */
export function isDate(value: unknown): value is Date {
  try {
    Date.prototype.getTime.call(value);
    return true;
  } catch {
    return false;
  }
}
