// Prints the final text of each statement of the queue, ready to be pasted into psql or sqlite3. Arguments select statements by parts of
// their names: `npm run sql -- sqlite claim`.
import { listStatements } from './statements.js';

const parts = process.argv.slice(2).map((part) => part.toLowerCase());

for (const { name, text } of listStatements()) {
  if (parts.every((part) => name.toLowerCase().includes(part))) {
    process.stdout.write(`-- ${name}\n${text};\n\n`);
  }
}
