/**
 * docs/guides/first-message.md, command by command. A block marked `sh NAME` is typed into the terminal of
 * that name; the block `text NAME` after it must appear there. The relay's port is the only thing changed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import t from 'tap';

import { environment, freePort, temporaryFolder } from '../support/processes.js';

t.setTimeout(600_000);

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const guide = readFileSync(`${root}docs/guides/first-message.md`, 'utf8');

/** A terminal: bash reading commands, everything it prints in one text. */
class Terminal {
  readonly #shell: ChildProcess;
  output = '';
  #typed = 0;

  constructor(home: string) {
    this.#shell = spawn('bash', ['-s'], {
      cwd: root,
      env: environment(home),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // a process group of its own, so Ctrl-C can be sent to what runs in it
    });
    this.#shell.stdout?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString();
    });
    this.#shell.stderr?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString();
    });
    this.#shell.stdin?.write("shopt -s expand_aliases\ntrap '' INT\n");
  }

  /** Type one line; resolves with its exit code, or at once for a program that stays. */
  async type(line: string): Promise<number> {
    const stays = /relay start|--follow/.test(line);
    const mark = `--done-${++this.#typed}-`;
    // What a program reads must not be our next line; bash itself ignores Ctrl-C, the program does not.
    this.#shell.stdin?.write(
      stays ? `( trap - INT; ${line} </dev/null )\n` : `${line}\necho ${mark}$?\n`,
    );
    if (stays) return 0;
    await this.until(new RegExp(`${mark}\\d+`), 60_000);
    return Number(new RegExp(`${mark}(\\d+)`).exec(this.output)?.[1]);
  }

  async until(wanted: RegExp | string, limitMs: number): Promise<boolean> {
    const end = performance.now() + limitMs;
    const there = (): boolean =>
      typeof wanted === 'string' ? this.output.includes(wanted) : wanted.test(this.output);
    while (!there() && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return there();
  }

  signal(name: NodeJS.Signals): void {
    if (this.#shell.pid !== undefined && this.#shell.exitCode === null) {
      process.kill(-this.#shell.pid, name);
    }
  }
}

t.test('the guide works as written', async (t) => {
  const home = temporaryFolder(t.teardown);
  const port = String(await freePort());
  const terminals = new Map<string, Terminal>();
  const terminal = (name: string): Terminal => {
    const known = terminals.get(name) ?? new Terminal(home);
    terminals.set(name, known);
    return known;
  };
  t.teardown(() => {
    for (const one of terminals.values()) one.signal('SIGKILL');
  });
  const adapt = (line: string): string =>
    line
      .replaceAll('7443', port)
      .replaceAll('$PWD/first-message', `${home}/first-message`)
      .replace(/relay start$/, `relay start --listen 127.0.0.1:${port}`);

  let commands = 0;
  for (const [, language, name = '', body = ''] of guide.matchAll(
    /^```(sh|text) ([a-z0-9 ]+)\n([\s\S]*?)^```/gm,
  )) {
    if (name === 'setup') {
      t.match(readFileSync(`${root}package.json`, 'utf8'), /"setup":/, 'the setup script exists');
    } else if (name.startsWith('stop ')) {
      const one = terminal(name.slice('stop '.length));
      one.output = '';
      one.signal('SIGINT');
    } else if (language === 'text') {
      const seen = await terminal(name).until(adapt(body), 30_000);
      t.ok(
        seen,
        `${name} sees ${JSON.stringify(body)} in ${JSON.stringify(terminal(name).output)}`,
      );
    } else {
      for (const line of body.trimEnd().split('\n')) {
        commands += 1;
        t.equal(await terminal(name).type(adapt(line)), 0, `${name}: ${line}`);
      }
    }
  }
  t.ok(commands >= 20, `${commands} commands were run`);
  const digits = /(\d{5} ){3}\d{5}\n(\d{5} ){3}\d{5}\n(\d{5} ){3}\d{5}/;
  const theirs = digits.exec(terminal('bob2').output)?.[0];
  t.equal(digits.exec(terminal('alice').output)?.[0], theirs, 'the same safety number');
  t.ok(theirs, 'and there is one');
});
