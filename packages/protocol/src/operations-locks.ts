/**
 * 08 Session. One operation at a time for each address; operations on different addresses run side by side.
 */
import { addressText, type Address } from './types.js';

/** Locks by address, within one process. Across processes the store's versions decide. Source: 08 §8. */
export class AddressLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Wait for every address, in one order for all callers so that no two wait for each other. */
  async acquire(remotes: readonly Address[]): Promise<() => void> {
    const keys = [...new Set(remotes.map(addressText))].sort();
    const releases: (() => void)[] = [];
    for (const key of keys) {
      const before = this.#tails.get(key);
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const tail = before === undefined ? held : before.then(() => held);
      this.#tails.set(key, tail);
      await before;
      releases.push(() => {
        release();
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      });
    }
    return () => {
      for (const release of releases) release();
    };
  }
}
