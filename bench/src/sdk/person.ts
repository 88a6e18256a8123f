/** The driver's end of a person's process. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Managed, manage } from '../relay/processes.js';
import type { Order, PartyOptions } from './party.js';

const MAIN = fileURLToPath(new URL('./party-main.js', import.meta.url));

/** A person who does what they are told. */
export class Person {
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (answer: unknown) => void>();
  readonly managed: Managed;
  readonly exited: Promise<never>;
  #nextId = 1;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.managed = manage(child);
    child.on('message', ({ id, answer }: { id: number; answer: unknown }) => {
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    });
    this.exited = new Promise((_, reject) => {
      child.once('exit', (code) => reject(new Error(`${name} exited with ${code}`)));
    });
    this.exited.catch(() => undefined);
  }

  /** @param nodeOptions - Of the process: profiles, heap limits. */
  static async start(options: PartyOptions, nodeOptions: readonly string[] = []): Promise<Person> {
    const child = fork(MAIN, [], {
      execArgv: [...nodeOptions],
      // Ids, keys and times as they are, not as JSON.
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const person = new Person(child, `${options.kind} ${options.username}`);
    const ready = new Promise((resolve) => person.#answers.set(0, resolve));
    child.send(options);
    await Promise.race([ready, person.exited]);
    return person;
  }

  /** Resolves with what came of it. */
  async tell<Answer>(order: Order): Promise<Answer> {
    const id = this.#nextId++;
    const answer = new Promise<unknown>((resolve) => this.#answers.set(id, resolve));
    this.#child.send({ id, order });
    return (await Promise.race([answer, this.exited])) as Answer;
  }

  async close(): Promise<void> {
    await this.tell({ do: 'close' });
    await this.exited.catch(() => undefined);
  }
}
