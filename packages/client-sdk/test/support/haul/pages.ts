// Tabs of one profile in a Chromium that keeps what it has on disk, to be killed as a whole or tab by tab.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

import { ARGUMENTS, chromiumPath } from '../browser.js';
import type { Device } from './book.js';
import type { Seat } from './haul.js';
import { type Host, Questions } from './hosts.js';
import type { News, Task } from './orders.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A Chromium of its own, started when a tab is wanted and it does not run. */
export class Chromium {
  readonly #directory: string;
  readonly #url: string;
  #running: Promise<{ readonly child: ChildProcess; readonly browser: Browser }> | undefined;

  /** `url`: the page of the app `haul`. */
  constructor(directory: string, url: string) {
    this.#directory = directory;
    this.#url = url;
  }

  async tab(hear: (news: News) => void): Promise<Host> {
    this.#running ??= this.#start();
    const { browser } = await this.#running;
    const [context] = browser.contexts();
    const page = await context!.newPage();
    page.on('pageerror', ({ message }) => hear({ who: 'page', wrong: `page: ${message}` }));
    await page.exposeFunction('news', (line: string) => hear(JSON.parse(line) as News));
    await page.goto(this.#url);
    return new TabHost(page);
  }

  /** kill -9; the processes of its tabs end with it. */
  async kill(): Promise<void> {
    const running = await this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    const exited = new Promise((resolve) => running.child.once('exit', resolve));
    running.child.kill('SIGKILL');
    await exited;
    await running.browser.close().catch(() => undefined);
  }

  async #start() {
    const port = join(this.#directory, 'DevToolsActivePort');
    rmSync(port, { force: true });
    const child = spawn(
      chromiumPath ?? '',
      [
        ...ARGUMENTS,
        '--headless',
        '--remote-debugging-port=0',
        `--user-data-dir=${this.#directory}`,
        'about:blank',
      ],
      { stdio: 'ignore' },
    );
    for (
      let waited = 0;
      !existsSync(port) || !readFileSync(port, 'utf8').includes('\n');
      waited++
    ) {
      if (child.exitCode !== null || waited > 1_200) throw new Error('Chromium does not start');
      await pause(50);
    }
    const [number] = readFileSync(port, 'utf8').split('\n');
    const browser = await chromium.connectOverCDP(`http://127.0.0.1:${number}`, {
      timeout: 60_000,
    });
    return { child, browser };
  }
}

class TabHost implements Host {
  readonly #page: Page;
  readonly #questions = new Questions();

  constructor(page: Page) {
    this.#page = page;
    page.setDefaultTimeout(0);
    const gone = (): void => this.#questions.gone();
    page.on('close', gone);
    page.on('crash', gone);
  }

  ask(who: string, task: Task): Promise<unknown> {
    return this.#questions.ask(who, task, (order) => {
      this.#page
        .evaluate((given) => window.order(given), order)
        .then(
          (answer) => this.#questions.answer(answer),
          () => this.#questions.gone(),
        );
    });
  }

  /** Its renderer crashes. */
  async kill(): Promise<void> {
    this.#questions.gone();
    const session = await this.#page
      .context()
      .newCDPSession(this.#page)
      .catch(() => undefined);
    // Nobody is left to answer.
    session?.send('Page.crash').catch(() => undefined);
    await pause(100);
    await this.#page.close({ runBeforeUnload: false }).catch(() => undefined);
  }
}

/** Two tabs of `username` in `program`. */
export function tabsOf(program: Chromium, username: string, name: string): readonly Seat[] {
  const streams = [`${name}x`, `${name}y`];
  const device: Device = { name, username, streams, account: '' };
  return streams.map((stream, index) => ({
    name: `tab${index + 1}`,
    devices: [device],
    streams: [{ stream, device }],
    start: (hear) => program.tab(hear),
    host: undefined,
    isBusy: false,
    killProgram: () => program.kill(),
  }));
}
