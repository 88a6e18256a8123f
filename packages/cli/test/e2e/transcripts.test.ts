/**
 * Every story in test/scripts is typed into a shell, and every word of the answers is compared.
 *
 * A story is a text file: `$ ` a command, `1> ` a line on stdout, `2> ` a line on stderr, `= ` the exit code
 * when it is not 0, `< ` a line of stdin, `! ` what the test itself does (`relay start|stop|kill`). In
 * expected lines `<word>` stands for any text. Stories run in a folder of their own, in order.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import t from 'tap';

import { freePort, RelayProcess, shell, temporaryFolder } from '../support/processes.js';

t.setTimeout(600_000);

interface Step {
  readonly line: number;
  readonly command: string;
  readonly input: string[];
  readonly stdout: string[];
  readonly stderr: string[];
  code: number;
}

const folder = fileURLToPath(new URL('../../test/scripts/', import.meta.url));
const only = process.env.QASID_STORY ?? '';
const stories = readdirSync(folder).filter((name) => name.endsWith('.txt') && name.includes(only));
if (only === '' && stories.length < 7) throw new Error('the stories are missing');

for (const name of stories) {
  t.test(name, async (t) => {
    const home = temporaryFolder(t.teardown);
    const relay = new RelayProcess(home, `${home}/relay-data`, await freePort());
    t.teardown(() => relay.stop('SIGKILL'));
    for (const step of parse(readFileSync(folder + name, 'utf8'))) {
      const label = `${name}:${step.line} ${step.command}`;
      if (step.command.startsWith('! ')) {
        await act(step.command.slice(2), relay);
        continue;
      }
      const done = await shell(home, step.command, {
        input: step.input.map((line) => `${line}\n`).join(''),
        env: { RELAY: relay.url, PORT: String(relay.port), NODE: process.execPath },
      });
      compare(t, `${label}: stdout`, done.stdout, step.stdout);
      compare(t, `${label}: stderr`, done.stderr, step.stderr);
      t.equal(done.code, step.code, `${label}: exit code`);
    }
  });
}

async function act(what: string, relay: RelayProcess): Promise<void> {
  if (what === 'relay start') await relay.start();
  else if (what === 'relay stop') await relay.stop('SIGTERM');
  else if (what === 'relay kill') await relay.stop('SIGKILL');
  else throw new Error(`the story asks for ${what}`);
}

function compare(
  t: { pass(m: string): unknown; same(a: unknown, b: unknown, m: string): unknown },
  label: string,
  text: string,
  expected: readonly string[],
): void {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const same =
    lines.length === expected.length &&
    lines.every((line, at) => pattern(expected[at] ?? '').test(line));
  if (same) t.pass(label);
  else t.same(lines, expected, label);
}

function pattern(expected: string): RegExp {
  const parts = expected.split(/<[a-z ]+>/);
  const escaped = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.+?')}$`);
}

function parse(text: string): readonly Step[] {
  const steps: Step[] = [];
  for (const [at, raw] of text.split('\n').entries()) {
    const blank: Step = { line: at + 1, command: '', input: [], stdout: [], stderr: [], code: 0 };
    const last = steps.at(-1) ?? blank;
    if (raw === '' || raw.startsWith('#')) continue;
    if (raw.startsWith('$ ')) steps.push({ ...blank, command: raw.slice(2) });
    else if (raw.startsWith('! ')) steps.push({ ...blank, command: raw });
    else if (raw.startsWith('1> ')) last.stdout.push(raw.slice(3));
    else if (raw.startsWith('2> ')) last.stderr.push(raw.slice(3));
    else if (raw.startsWith('< ')) last.input.push(raw.slice(2));
    else if (raw.startsWith('= ')) last.code = Number(raw.slice(2));
    else throw new Error(`line ${at + 1} of the story is neither command nor answer: ${raw}`);
  }
  return steps;
}
