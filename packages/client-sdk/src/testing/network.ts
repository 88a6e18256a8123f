/**
 * Testing kit. A network in memory between clients and relays: latency, broken connections, partitions.
 *
 * It behaves as TCP does: within a connection nothing is lost or overtaken; a connection may break, and then
 * whatever was under way in either direction is gone.
 */
import type { Timer } from '../clock.js';
import type { Dial, Socket, SocketEvents } from '../transport/port.js';
import type { VirtualClock } from './clock.js';
import type { SeededRandom } from './random.js';

/** How the network is at the moment. May be changed at any time. */
export interface NetworkConditions {
  /** Milliseconds one way, at least and at most. */
  latencyMs: readonly [number, number];
  /** Chance that a message breaks its connection instead of arriving. */
  breakChance: number;
  /** Clients, by name, that reach nothing. */
  readonly partitioned: Set<string>;
}

/** One end of a connection as the relay sees it: the relay's transport port. */
export interface RelaySocket {
  /** Queue one frame; `dropped` when the connection is over. */
  send(frame: Uint8Array): 'sent' | 'queued' | 'dropped';
  readonly bufferedBytes: number;
  /** Close after what was sent. */
  close(code: number, text: string): void;
}

/** What a relay does with a socket. */
export interface RelayHandler {
  /** One frame came in. */
  message(frame: Uint8Array): void;
  /** The connection is over; WebSocket close code. */
  closed(code: number): void;
}

/** Who answers at an address. */
export type Answering = (socket: RelaySocket) => RelayHandler;

/** The network. */
export class TestNetwork {
  readonly conditions: NetworkConditions = {
    latencyMs: [1, 30],
    breakChance: 0,
    partitioned: new Set(),
  };
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #answering = new Map<string, Answering>();
  readonly #connections = new Set<Connection>();

  constructor(clock: VirtualClock, random: SeededRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Let `answering` accept connections to `url`; `undefined`: nobody does. Open ones stay. */
  listen(url: string, answering: Answering | undefined): void {
    if (answering === undefined) this.#answering.delete(url);
    else this.#answering.set(url, answering);
  }

  /** How the client called `name` opens sockets. */
  dialOf(name: string): Dial {
    return (url, events) => {
      const isCutOff = () => this.conditions.partitioned.has(name);
      const connection = new Connection(name, events, {
        clock: this.#clock,
        random: this.#random,
        conditions: this.conditions,
        ended: () => this.#connections.delete(connection),
      });
      this.#connections.add(connection);
      connection.open(() => (isCutOff() ? undefined : this.#answering.get(url)));
      return connection.clientEnd;
    };
  }

  /** Break every connection of `name`, or of everybody. */
  breakConnections(name?: string): void {
    for (const connection of [...this.#connections]) {
      if (name === undefined || connection.name === name) connection.break();
    }
  }

  /** Nothing of `name` gets through; what is open breaks. */
  partition(name: string): void {
    this.conditions.partitioned.add(name);
    this.breakConnections(name);
  }

  /** Undo `partition`. */
  heal(name: string): void {
    this.conditions.partitioned.delete(name);
  }
}

/** One direction: messages arrive in order, each after its latency. */
class Lane {
  #freeAtMs = 0;
  readonly #timers = new Set<Timer>();
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  carry(latencyMs: number, arrive: () => void): void {
    const nowMs = this.#clock.elapsedMs();
    const atMs = Math.max(nowMs + latencyMs, this.#freeAtMs);
    this.#freeAtMs = atMs;
    const timer = this.#clock.after(atMs - nowMs, () => {
      this.#timers.delete(timer);
      arrive();
    });
    this.#timers.add(timer);
  }

  cut(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}

/** What a connection needs of its network. */
interface Surroundings {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly conditions: NetworkConditions;
  ended(): void;
}

/** A connection between one client and whoever answers. */
class Connection {
  readonly name: string;
  readonly clientEnd: Socket;
  readonly #around: Surroundings;
  readonly #events: SocketEvents;
  readonly #toRelay: Lane;
  readonly #toClient: Lane;
  #relay: RelayHandler | undefined;
  #isOver = false;
  #isHungUp = false;

  constructor(name: string, events: SocketEvents, around: Surroundings) {
    this.#around = around;
    this.name = name;
    this.#events = events;
    this.#toRelay = new Lane(around.clock);
    this.#toClient = new Lane(around.clock);
    this.clientEnd = {
      send: (message) =>
        this.#carry(this.#toRelay, message, (frame) => this.#relay?.message(frame)),
      close: () => this.#hangUp(),
    };
  }

  open(answering: () => Answering | undefined): void {
    this.#toRelay.carry(this.#latency(), () => {
      const answer = this.#isHungUp ? undefined : answering();
      if (answer === undefined) {
        this.#end(1006);
        return;
      }
      this.#events.opened();
      if (!this.#isOver) this.#relay = answer(this.#relayEnd());
    });
  }

  /** As when a cable is pulled: both ends hear of it, and what was under way is lost. */
  break(): void {
    this.#end(1006);
  }

  #relayEnd(): RelaySocket {
    return {
      send: (frame) => {
        if (this.#isOver || this.#isHungUp) return 'dropped';
        this.#carry(this.#toClient, frame, (copy) => this.#events.received(copy));
        return 'sent';
      },
      bufferedBytes: 0,
      // Whatever the relay sent before it closed still arrives.
      close: (code) => this.#toClient.carry(this.#latency(), () => this.#end(code)),
    };
  }

  #carry(
    lane: Lane,
    message: Uint8Array,
    arrive: (message: Uint8Array<ArrayBuffer>) => void,
  ): void {
    if (this.#isOver || this.#isHungUp) return;
    const copy = Uint8Array.from(message);
    const { random, conditions } = this.#around;
    const breaks = random.chance(conditions.breakChance);
    lane.carry(this.#latency(), () => {
      if (this.#isOver) return;
      if (breaks || conditions.partitioned.has(this.name)) this.break();
      else arrive(copy);
    });
  }

  /** The client goes, or its program dies: what it sent before still arrives. */
  #hangUp(): void {
    if (this.#isOver || this.#isHungUp) return;
    this.#isHungUp = true;
    this.#toClient.cut();
    this.#events.closed({ code: 1000 });
    this.#toRelay.carry(this.#latency(), () => this.#end(1000));
  }

  #end(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#toRelay.cut();
    this.#toClient.cut();
    this.#around.ended();
    this.#relay?.closed(code);
    if (!this.#isHungUp) this.#events.closed({ code });
  }

  #latency(): number {
    const { random, conditions } = this.#around;
    const [least, most] = conditions.latencyMs;
    return least + random.next() * (most - least);
  }
}
