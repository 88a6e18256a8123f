// Where people of the long haul live, seen from the driver: processes that can be asked, frozen and killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { Answer, News, Order, Task } from './orders.js';

const PROGRAM = fileURLToPath(new URL('./node-people.js', import.meta.url));

/** The host died before it answered. */
export class Gone extends Error {}

/** What somebody answered with an error. */
export class Refused extends Error {
  readonly code: string;

  constructor(who: string, task: Task, code: string) {
    super(`${who} could not ${task.do}: ${code}`);
    this.code = code;
  }
}

/** A process, or a page. */
export interface Host {
  /** Ask somebody who lives here. @throws Gone, Refused */
  ask(who: string, task: Task): Promise<unknown>;
  /** End it without warning, and wait until it is gone. */
  kill(): Promise<void>;
}

/** Questions that wait for their answers. */
export class Questions {
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  #next = 1;
  #isGone = false;

  /** Ask by `post`. @throws Gone, Refused */
  async ask(who: string, task: Task, post: (order: Order) => void): Promise<unknown> {
    if (this.#isGone) throw new Gone(who);
    const id = this.#next++;
    const answer = await new Promise<Answer | undefined>((resolve) => {
      this.#waiting.set(id, resolve);
      post({ ...task, id, who });
    });
    if (answer === undefined) throw new Gone(who);
    if (answer.error !== undefined) throw new Refused(who, task, answer.error);
    return answer.value;
  }

  answer(answer: Answer): void {
    this.#waiting.get(answer.id)?.(answer);
    this.#waiting.delete(answer.id);
  }

  /** Nobody answers any more. */
  gone(): void {
    this.#isGone = true;
    for (const resolve of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }
}

/** A Node process. */
export class NodeHost implements Host {
  readonly process: ChildProcess;
  readonly #questions = new Questions();
  readonly #exited: Promise<void>;

  constructor(hear: (news: News) => void) {
    this.process = spawn(process.execPath, ['--enable-source-maps', PROGRAM], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    // A write to a process that was killed: `exit` tells.
    this.process.stdin?.on('error', () => undefined);
    const lines = createInterface({ input: this.process.stdout! });
    lines.on('line', (line) => {
      let value: Answer | News;
      try {
        value = JSON.parse(line) as Answer | News;
      } catch {
        // The last line of a process that was killed while it wrote.
        return;
      }
      if ('id' in value) this.#questions.answer(value);
      else hear(value);
    });
    // What it wrote before it died is read first.
    this.#exited = new Promise((resolve) => {
      this.process.once('close', () => {
        this.#questions.gone();
        resolve();
      });
    });
  }

  ask(who: string, task: Task): Promise<unknown> {
    return this.#questions.ask(who, task, (order) => {
      this.process.stdin?.write(`${JSON.stringify(order)}\n`);
    });
  }

  /** It stands still with its sockets open; `thaw` ends that. */
  freeze(): void {
    this.process.kill('SIGSTOP');
  }

  thaw(): void {
    this.process.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.#exited;
  }
}
