/** The loads that every system takes: L1, L2, L3. One driver process, no matter who is driven. */
import { pass, until } from './faults.js';
import { Histogram } from './histogram.js';
import { type Consumer, inParallel, type Producer, type Server } from './system.js';

/** What is done to a system. */
export interface Load {
  readonly key: string;
  readonly title: string;
  readonly producers: number;
  /** Unconfirmed sends a producer keeps under way. */
  readonly depth: number;
  readonly mailboxes: number;
  /** The first of them; 0 when absent. */
  readonly from?: number;
}

/** What one round of it gave. */
export interface Sample {
  readonly deliveredPerSecond: number;
  readonly confirmP50: number;
  readonly confirmP99: number;
  readonly deliverP50: number;
  readonly deliverP99: number;
  /** Processor time of the server for one message. */
  readonly cpuUs: number;
}

/**
 * Bytes a client of the relay may have unconfirmed; nobody is given more here. Large bodies go in fewer sends.
 */
const CREDIT_BYTES = 1_048_576;

/**
 * What may be sent and not delivered, for every system: a sender that outruns its reader would otherwise
 * measure the length of a queue, which the relay bounds and others do not.
 */
const BACKLOG_MAX = { messages: 4_096, bytes: 16 * 1_048_576 };

export const LOADS: readonly Load[] = [
  { key: 'L1', title: '1 to 1, one at a time', producers: 1, depth: 1, mailboxes: 1 },
  { key: 'L2', title: '1 to 1, 64 under way', producers: 1, depth: 64, mailboxes: 1 },
  { key: 'L3', title: '8 × 64 to 1,000 online', producers: 8, depth: 64, mailboxes: 1_000 },
];

/** A system with its clients attached: they stay from round to round. */
export class Bench {
  readonly server: Server;
  readonly #mailboxesMax: number;
  readonly #producers: Producer[] = [];
  readonly #consumers = new Map<number, Consumer>();
  #onConfirm: (producer: number, sentMs: number) => void = () => undefined;
  #onMessage: (body: Uint8Array) => void = () => undefined;

  constructor(server: Server, mailboxesMax: number) {
    this.server = server;
    this.#mailboxesMax = mailboxesMax;
  }

  async #attach(load: Load, from: number, end: number): Promise<void> {
    for (let index = this.#producers.length; index < load.producers; index++) {
      this.#producers.push(
        await this.server.producer(index, (sentMs) => this.#onConfirm(index, sentMs)),
      );
    }
    const missing: number[] = [];
    for (let mailbox = from; mailbox < end; mailbox++) {
      if (!this.#consumers.has(mailbox)) missing.push(mailbox);
    }
    await inParallel(missing.length, async (index) => {
      const mailbox = missing[index]!;
      const consumer = await this.server.consumer(mailbox, (body) => this.#onMessage(body));
      this.#consumers.set(mailbox, consumer);
    });
  }

  /** One round: warm up, measure, let everything arrive. @throws when something is lost. */
  async run(load: Load, size: number, warmUpMs: number, measureMs: number): Promise<Sample> {
    const from = load.from ?? 0;
    const mailboxes = Math.min(load.mailboxes, this.#mailboxesMax - from);
    await this.#attach(load, from, from + mailboxes);
    let confirm = new Histogram();
    let deliver = new Histogram();
    let sent = 0;
    let confirmed = 0;
    let delivered = 0;
    let isOver = false;
    let next = 0;
    const body = Buffer.alloc(Math.max(8, size), 0x5a);
    const depth = Math.max(1, Math.min(load.depth, Math.floor(CREDIT_BYTES / size)));
    const backlogMax = Math.min(BACKLOG_MAX.messages, Math.floor(BACKLOG_MAX.bytes / size));
    /** Producers whose next send waits for the readers. */
    const held: number[] = [];
    const send = (producer: number): void => {
      if (sent - delivered >= backlogMax) {
        held.push(producer);
        return;
      }
      const nowMs = performance.now();
      body.writeDoubleLE(nowMs, 0);
      // Producers go round all queues, each from a place of its own.
      const mailbox = from + ((next++ * 7) % mailboxes);
      sent++;
      // A copy: the link sends at the end of this turn.
      this.#producers[producer]?.send(mailbox, Buffer.from(body), nowMs);
    };
    this.#onConfirm = (producer, sentMs) => {
      confirmed++;
      confirm.add(performance.now() - sentMs);
      if (!isOver) send(producer);
    };
    this.#onMessage = (message) => {
      delivered++;
      const at = new DataView(message.buffer, message.byteOffset, 8).getFloat64(0, true);
      deliver.add(performance.now() - at);
      const waiting = held.pop();
      if (waiting !== undefined && !isOver) send(waiting);
    };
    for (let producer = 0; producer < load.producers; producer++) {
      for (let under = 0; under < depth; under++) send(producer);
    }
    await pass(warmUpMs);
    confirm = new Histogram();
    deliver = new Histogram();
    const before = { delivered, cpuUs: this.server.managed.cpuUs(), atMs: performance.now() };
    await pass(measureMs);
    const elapsedMs = performance.now() - before.atMs;
    const count = delivered - before.delivered;
    const cpuUs = this.server.managed.cpuUs() - before.cpuUs;
    const sample: Sample = {
      deliveredPerSecond: (count / elapsedMs) * 1000,
      confirmP50: confirm.quantile(0.5),
      confirmP99: confirm.quantile(0.99),
      deliverP50: deliver.quantile(0.5),
      deliverP99: deliver.quantile(0.99),
      cpuUs: cpuUs / Math.max(1, count),
    };
    isOver = true;
    await until(() => confirmed === sent && delivered >= sent, 60_000).catch((cause: unknown) => {
      const text = `${sent} sent, ${confirmed} confirmed, ${delivered} delivered`;
      throw new Error(`${cause instanceof Error ? cause.message : ''}: ${text}`, { cause });
    });
    return sample;
  }

  /** Confirmed sends, one after the other; for counting what each costs. */
  async singles(count: number): Promise<void> {
    await this.#attach(LOADS[0]!, 0, 1);
    this.#onMessage = () => undefined;
    let confirmed = 0;
    const send = (): void =>
      this.#producers[0]?.send(0, Buffer.alloc(1024, 0x5a), performance.now());
    this.#onConfirm = () => {
      if (++confirmed < count) send();
    };
    send();
    await until(() => confirmed === count, 60_000);
  }

  /** Close the producers: somebody else sends as them. */
  async detach(): Promise<void> {
    for (const producer of this.#producers.splice(0)) await producer.close();
  }

  async close(): Promise<void> {
    const ends = [...this.#producers, ...this.#consumers.values()];
    await Promise.allSettled(ends.map((end) => end.close()));
    await this.server.stop();
  }
}
