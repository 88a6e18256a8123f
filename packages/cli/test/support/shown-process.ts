/** A process of its own for the record of shown messages: its stdout is what the test gives it. */
import { outcomeOf, Shown } from '#src/shown.js';

const [directory = '', action = '', line = ''] = process.argv.slice(2);
const shown = Shown.open(directory);
if (action === 'print') {
  await shown.print(shown.last + 1, line);
} else if (action === 'ask') {
  const open = shown.interrupted;
  const outcome = open === undefined ? { kind: 'none' } : outcomeOf(open, line);
  const rest = 'rest' in outcome ? Buffer.from(outcome.rest).toString() : undefined;
  process.stderr.write(JSON.stringify({ last: shown.last, kind: outcome.kind, rest }));
}
shown.close();
