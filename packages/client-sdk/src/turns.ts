/**
 * One task at a time for each name, in the order in which they asked.
 */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Run `task` when those before it are over, however they ended. Rejects as it does. */
  take<Result>(name: string, task: () => Promise<Result>): Promise<Result> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(task);
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(name, over);
    void over.then(() => {
      if (this.#last.get(name) === over) this.#last.delete(name);
    });
    return turn;
  }
}
