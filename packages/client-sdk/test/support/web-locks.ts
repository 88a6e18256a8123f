/** Web Locks for tests outside a browser: one manager stands for all tabs of an origin. */
type Granted = (lock: object | null) => unknown;

/** `navigator.locks`, as far as the store uses it: exclusive locks, `ifAvailable`. */
export class TestLocks {
  readonly #held = new Map<string, Promise<unknown>>();

  async request(name: string, ...rest: readonly unknown[]): Promise<unknown> {
    const granted = rest.at(-1) as Granted;
    const options = (rest.length > 1 ? rest[0] : {}) as { readonly ifAvailable?: boolean };
    if (options.ifAvailable === true && this.#held.has(name)) return granted(null);
    while (this.#held.has(name)) await this.#held.get(name);
    const done = (async () => granted({ name }))();
    const settled = done.then(
      () => this.#held.delete(name),
      () => this.#held.delete(name),
    );
    this.#held.set(name, settled);
    return done;
  }
}
