/**
 * Testing kit. A program that is killed at a chosen moment: from then on nothing it does has any effect.
 *
 * Everything outside a client is its store and its sockets. Moments are counted there: before and after each
 * call to the store, and before each message that arrives. Between two of them a client changes nothing
 * that outlives it, so these are all the moments that differ.
 */
import type { Clock, Timer } from '../clock.js';
import type { ClientStore, ConnectionLease } from '../stores/port.js';
import type { Dial, Socket } from '../transport/port.js';

/** One life of a client over a store that survives it. */
export class Mortal {
  /** Give these two to `QasidClient.open`. */
  readonly store: ClientStore;
  readonly dial: Dial;
  readonly #inner: ClientStore;
  readonly #sockets = new Set<Socket>();
  readonly #leases = new Set<ConnectionLease>();
  readonly #unwatch = new Set<() => void>();
  readonly #timers = new Set<Timer>();
  #momentsLeft: number;
  #moments = 0;
  #dead = false;

  /** @param moments - It dies at this moment, counted from 1; `Infinity`: not by itself. */
  constructor(store: ClientStore, dial: Dial, moments: number = Number.POSITIVE_INFINITY) {
    this.#inner = store;
    this.#momentsLeft = moments;
    this.store = this.#mortalStore();
    this.dial = this.#mortalDial(dial);
  }

  get isDead(): boolean {
    return this.#dead;
  }

  /** Moments lived through. */
  get moments(): number {
    return this.#moments;
  }

  /** Now. The store and the network are as the next life finds them. */
  die(): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const socket of this.#sockets) socket.close();
    for (const lease of this.#leases) void lease.release();
    for (const end of this.#unwatch) end();
    for (const timer of this.#timers) timer.cancel();
  }

  /** `clock` as this life sees it: its timers end with it. */
  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      after: (delayMs, action) => {
        if (this.#dead) return { cancel: () => undefined };
        const timer = clock.after(delayMs, () => {
          this.#timers.delete(timer);
          action();
        });
        this.#timers.add(timer);
        return {
          cancel: () => {
            this.#timers.delete(timer);
            timer.cancel();
          },
        };
      },
    };
  }

  /** One moment passes. */
  #moment(): void {
    if (this.#dead) return;
    this.#moments++;
    if (--this.#momentsLeft <= 0) this.die();
  }

  /** What a dead program's calls come to: nothing ever returns. */
  #limbo(): Promise<never> {
    return new Promise(() => undefined);
  }

  #mortalStore(): ClientStore {
    const own: Partial<Record<string | symbol, unknown>> = {
      ownConnection: async () => {
        const lease = await this.#inner.ownConnection();
        if (lease === undefined) return undefined;
        this.#leases.add(lease);
        if (this.#dead) await lease.release();
        return lease;
      },
      watch: (listener: () => void) => {
        const end = this.#inner.watch(() => {
          if (!this.#dead) listener();
        });
        this.#unwatch.add(end);
        return end;
      },
      close: async () => undefined,
    };
    return new Proxy(this.#inner, {
      get: (inner, name) => {
        if (name === 'watch' || name === 'close') return own[name];
        const call = own[name] ?? (Reflect.get(inner, name, inner) as unknown);
        if (typeof call !== 'function') return call;
        return async (...all: unknown[]) => {
          this.#moment();
          if (this.#dead) return this.#limbo();
          const result: unknown = await (call as (...args: unknown[]) => unknown).apply(inner, all);
          this.#moment();
          return this.#dead ? this.#limbo() : result;
        };
      },
    });
  }

  #mortalDial(dial: Dial): Dial {
    return (url, events) => {
      if (this.#dead) return { send: () => undefined, close: () => undefined };
      const socket = dial(url, {
        opened: () => {
          if (!this.#dead) events.opened();
        },
        received: (message) => {
          this.#moment();
          if (!this.#dead) events.received(message);
        },
        closed: (reason) => {
          this.#sockets.delete(socket);
          if (!this.#dead) events.closed(reason);
        },
      });
      this.#sockets.add(socket);
      return {
        send: (message) => {
          if (!this.#dead) socket.send(message);
        },
        close: () => socket.close(),
      };
    };
  }
}
