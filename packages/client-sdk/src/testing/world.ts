/**
 * Testing kit. A relay, a network and clients in one process, under one clock and one seed.
 */
import { QasidClient } from '../client.js';
import type { ClientOptions } from '../api.js';
import { MemoryStore } from '../stores/memory.js';
import type { ClientStore } from '../stores/port.js';
import { relayClock, VirtualClock } from './clock.js';
import { lyingDial, type Lies } from './lies.js';
import { Mortal } from './mortal.js';
import { TestNetwork, type RelayHandler, type RelaySocket } from './network.js';
import { SeededRandom, seededCrypto } from './random.js';

/** Where the relay of a world answers. */
const RELAY_URL = 'ws://relay.test';

/** How to make a world. */
export interface TestWorldOptions {
  /** The same seed gives the same run. */
  readonly seed?: number;
  /** Wall time at the start, milliseconds since 1970. */
  readonly startMs?: number;
  /** Options of the relay, as `startRelay` takes them; it is in memory and without quotas by default. */
  readonly relay?: Readonly<Record<string, unknown>>;
}

/** How a client of a world differs from others. */
export interface TestClientOptions
  extends Partial<Omit<ClientOptions, 'relay' | 'clock' | 'profile' | 'passphrase'>> {
  /** What the relay says to it and hears from it. */
  readonly lies?: Lies;
  /** Its program dies at this moment; see `Mortal`. */
  readonly diesAt?: number;
}

/** What a world needs of a running relay. */
interface Relay {
  totals(): Promise<{ readonly envelopes: number }>;
}

/** The part of the relay's store port that survives a restart. */
type KeptStore = { close(): Promise<void> };

/** A world. Make one with `TestWorld.create`. */
export class TestWorld {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly network: TestNetwork;
  readonly #options: TestWorldOptions;
  #store: KeptStore | undefined;
  #relay: Relay | undefined;
  /** Frames of a relay that was killed reach nobody. */
  #life = 0;

  private constructor(options: TestWorldOptions) {
    this.#options = options;
    this.clock = new VirtualClock(options.startMs);
    this.random = new SeededRandom(options.seed ?? 1);
    this.network = new TestNetwork(this.clock, this.random.fork());
  }

  /**
   * A world with a relay that is up. Needs `@qasid/relay` beside this package.
   */
  static async create(options: TestWorldOptions = {}): Promise<TestWorld> {
    const world = new TestWorld(options);
    await world.startRelay();
    return world;
  }

  /** Start the relay, with whatever the one before it had made durable. */
  async startRelay(): Promise<void> {
    // Not a dependency: only tests need it, and only this file.
    const { NO_QUOTAS, silentLog, startRelay } = await import('@qasid/relay');
    const life = ++this.#life;
    const options = {
      store: 'memory',
      port: 0,
      quotas: NO_QUOTAS,
      logLevel: 'silent',
      ...this.#options.relay,
    };
    this.#relay = await startRelay(options as Parameters<typeof startRelay>[0], {
      clock: relayClock(this.clock),
      log: silentLog,
      transport: this.#transport(life) as never,
      wrapStore: (store) => {
        this.#store ??= store;
        return this.#storeOf(life, this.#store as typeof store);
      },
    });
  }

  /** Kill the relay: what it had not made durable is gone, its connections break. `startRelay` starts it. */
  killRelay(): void {
    this.#life++;
    this.network.listen(RELAY_URL, undefined);
    this.network.breakConnections();
    this.#relay = undefined;
  }

  /**
   * Let time pass until `work` is done: a promise of a client in this world may need a network, and that
   * needs time.
   *
   * @throws what `work` throws; Error when it is not done after `limitMs`.
   */
  async finish<Result>(work: Promise<Result>, limitMs?: number): Promise<Result> {
    let isDone = false;
    const noted = work.finally(() => {
      isDone = true;
    });
    noted.catch(() => undefined);
    if (!(await this.clock.until(() => isDone, limitMs))) throw new Error('not done in time');
    return noted;
  }

  /** Envelopes that wait at the relay. */
  async queued(): Promise<number> {
    return (await this.#relay?.totals())?.envelopes ?? 0;
  }

  /**
   * A client called `name`. Give it the store of an earlier one to go on where that stopped.
   *
   * @param options - `store` defaults to an empty `MemoryStore`.
   */
  async client(name: string, options: TestClientOptions = {}): Promise<QasidClient> {
    return (await this.life(name, options)).client;
  }

  /** The same, with what kills it. */
  async life(
    name: string,
    options: TestClientOptions = {},
  ): Promise<{
    readonly client: QasidClient;
    readonly mortal: Mortal;
    readonly store: ClientStore;
  }> {
    const { lies, diesAt, store = new MemoryStore(), ...rest } = options;
    const honest = this.network.dialOf(name);
    const dial = lies === undefined ? honest : lyingDial(honest, lies);
    const mortal = new Mortal(store, dial, diesAt);
    const random = this.random.fork();
    const client = await QasidClient.open({
      crypto: seededCrypto(this.random.fork()),
      random: () => random.next(),
      ...rest,
      relay: RELAY_URL,
      clock: mortal.clock(this.clock),
      store: mortal.store,
      socket: mortal.dial,
    });
    return { client, mortal, store };
  }

  /** The store as one life of the relay sees it: what it asks after its death never happens. */
  #storeOf<Store extends KeptStore>(life: number, store: Store): Store {
    return new Proxy(store, {
      get: (inner, name) => {
        const member = Reflect.get(inner, name, inner) as unknown;
        if (name === 'close') return async () => undefined;
        if (typeof member !== 'function') return member;
        return async (...all: unknown[]) => {
          if (life !== this.#life) return new Promise<never>(() => undefined);
          const result: unknown = await (member as (...args: unknown[]) => unknown).apply(
            inner,
            all,
          );
          return life === this.#life ? result : new Promise<never>(() => undefined);
        };
      },
    });
  }

  /** The relay's transport port over this network. */
  #transport(life: number) {
    const isCurrent = (): boolean => life === this.#life;
    return {
      name: 'ws' as const,
      listen: async (
        _options: unknown,
        routes: { open(socket: RelaySocket, address: string): RelayHandler },
      ) => {
        this.network.listen(RELAY_URL, (socket) => {
          const handler = routes.open(
            {
              send: (frame) => (isCurrent() ? socket.send(frame) : 'dropped'),
              bufferedBytes: 0,
              close: (code, text) => {
                if (isCurrent()) socket.close(code, text);
              },
            },
            '192.0.2.1',
          );
          return {
            message: (frame) => {
              if (isCurrent()) handler.message(frame);
            },
            closed: (code) => {
              if (isCurrent()) handler.closed(code);
            },
          };
        });
        return {
          port: 1,
          reloadTls: async () => undefined,
          stopAccepting: () => undefined,
          close: async () => undefined,
        };
      },
    };
  }
}
