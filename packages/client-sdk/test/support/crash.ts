// A process that dies at a chosen commit, and the world as it finds it when it starts again.
import { StoreError } from '@qasid/protocol';
import type { ClientExtra, ClientStore, ConnectionLease, Dial, Socket } from '@qasid/client-sdk';
import type { StoreChanges } from '@qasid/protocol';
import { nodeDial } from '@qasid/client-sdk/node';

/** When to die: before or after the commit with this number, counted from 1. */
export interface DeathPlan {
  readonly commit: number;
  readonly when: 'before' | 'after';
}

/** A store and a network that stop working at one moment, as they do for a process that is killed. */
export class Mortal {
  readonly store: ClientStore;
  readonly dial: Dial;
  #dead = false;
  #commits = 0;
  readonly #plan: DeathPlan | undefined;
  readonly #inner: ClientStore;
  readonly #sockets = new Set<Socket>();
  readonly #leases = new Set<ConnectionLease>();
  #died: () => void = () => undefined;
  readonly death: Promise<void>;

  constructor(inner: ClientStore, plan: DeathPlan | undefined) {
    this.#inner = inner;
    this.#plan = plan;
    this.death = new Promise((resolve) => {
      this.#died = resolve;
    });
    this.store = this.#wrap();
    this.dial = (url, events) => {
      if (this.#dead) return { send: () => undefined, close: () => undefined };
      const socket = nodeDial(url, {
        opened: () => this.#dead || events.opened(),
        received: (message) => void (this.#dead || events.received(message)),
        closed: (reason) => void (this.#dead || events.closed(reason)),
      });
      this.#sockets.add(socket);
      return {
        send: (message) => void (this.#dead || socket.send(message)),
        close: () => socket.close(),
      };
    };
  }

  get isDead(): boolean {
    return this.#dead;
  }

  /** Nothing this process does from here on has any effect. */
  die(): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const socket of this.#sockets) socket.close();
    for (const lease of this.#leases) void lease.release();
    this.#died();
  }

  #wrap(): ClientStore {
    const alive = (): void => {
      if (this.#dead) throw new StoreError('STORE_FAILED', 'this process is dead');
    };
    const commit = async (changes: StoreChanges<ClientExtra>): Promise<void> => {
      alive();
      const last = ++this.#commits === this.#plan?.commit ? this.#plan.when : undefined;
      if (last === 'before') this.die();
      alive();
      await this.#inner.commit(changes);
      if (last === 'after') this.die();
      alive();
    };
    const ownConnection = async (): Promise<ConnectionLease | undefined> => {
      alive();
      const lease = await this.#inner.ownConnection();
      if (lease !== undefined) this.#leases.add(lease);
      return lease;
    };
    return new Proxy(this.#inner, {
      get: (inner, name) => {
        if (name === 'commit') return commit;
        if (name === 'ownConnection') return ownConnection;
        if (name === 'close') return async () => undefined;
        const member = Reflect.get(inner, name, inner) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          if (name !== 'watch') alive();
          return (member as (...all: unknown[]) => unknown).apply(inner, args);
        };
      },
    });
  }
}
