import { v7 as uuidv7 } from 'uuid';
import { normalJobId } from '../../lib/core/job-id.js';

const id = '01890a5d-ac96-774b-bcce-b302099a8057';

describe('a job id', () => {
  it('is taken as the database writes it', () => {
    expect(normalJobId(id)).toBe(id);
    expect(normalJobId(id.toUpperCase())).toBe(id);
  });

  it('may be any that the queue makes', () => {
    const made = uuidv7();

    expect(normalJobId(made)).toBe(made);
  });

  it.each([
    '',
    ` ${id}`,
    `${id}\n`,
    `{${id}}`,
    `urn:uuid:${id}`,
    id.replaceAll('-', ''),
    id.slice(1),
    `${id}0`,
    id.replace('a', 'g'),
    `${id}; DROP TABLE _jobs`,
    7,
    null,
    undefined,
    [id],
    { toString: () => id },
  ])('is never read from %p', (value) => {
    expect(normalJobId(value)).toBeUndefined();
  });
});
