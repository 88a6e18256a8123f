/**
 * The page a demonstration is written on: steps, commands, what each side sees. Plain when stdout is no
 * terminal; colours and widths follow the terminal, and lines to copy are never broken or indented.
 */
import { inertLine } from './inert.js';
import type { Output } from './output.js';

/** Where the demonstration is told. */
export interface Page {
  /** Width of the terminal, 80 when unknown. */
  readonly columns: number;
  title(text: string): Promise<void>;
  step(text: string): Promise<void>;
  text(text: string): Promise<void>;
  /** A command that is being run. */
  command(program: string, args: readonly string[]): Promise<void>;
  /** What the command answered. */
  answer(what: string): Promise<void>;
  /** A row of ciphertext. */
  sample(row: string): Promise<void>;
  /** Something the program has made sure of. */
  check(what: string): Promise<void>;
  /** Lines to copy into another terminal. */
  copy(lines: readonly string[]): Promise<void>;
}

/** A page on stdout. */
export function pageOn(output: Output): Page {
  const columns = Math.max(20, process.stdout.columns ?? 80);
  const colours =
    process.stdout.isTTY === true &&
    process.env.NO_COLOR === undefined &&
    process.env.TERM !== 'dumb';
  const paint = (code: number, text: string): string =>
    colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  let steps = 0;

  /** Paragraph with a hanging indent, broken at spaces. */
  const wrapped = async (first: string, text: string, code?: number): Promise<void> => {
    const rest = ' '.repeat(first.length);
    let lead = first;
    for (const line of wrap(text, columns - first.length)) {
      await output.data(lead + (code === undefined ? line : paint(code, line)));
      lead = rest;
    }
  };

  return {
    columns,
    title: (text) => wrapped('', text, 1),
    async step(text) {
      steps += 1;
      await output.data('');
      await wrapped(`${steps}. `, text, 1);
    },
    text: (text) => wrapped('   ', text),
    command: (program, args) => wrapped('   $ ', [program, ...args].map(quoted).join(' '), 2),
    answer: (what) => wrapped('   > ', inertLine(what), 32),
    sample: (row) => output.data(`     ${paint(2, row)}`),
    check: (what) => wrapped('   ok  ', inertLine(what), 32),
    async copy(lines) {
      await output.data('');
      for (const line of lines) await output.data(paint(36, line));
      await output.data('');
    },
  };
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Break at spaces into lines of at most `width` characters; a longer word stands alone. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}
