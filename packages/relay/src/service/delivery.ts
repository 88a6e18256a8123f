/**
 * 13 Relay §5. Delivery of one mailbox over one socket: backlog, `QueueEmpty`, then live.
 *
 *   reading ──page──► reading        while the window is open and more waits
 *   reading ──last page──► live      new envelopes are pushed as they are committed
 *   live ──no window, slow socket──► paused ──acknowledged, drained──► reading
 *
 * Nothing is ever dropped here: what is not sent is still queued, and is read again.
 */
import type { CloseReason, DeliverFields, RelayEvent } from '@qasid/protocol/envelope';
import type { Cancel } from '../clock.js';
import type { MailboxNo, QueuedEnvelope } from '../store/port.js';
import type { Context } from './context.js';

/** How often each unacknowledged envelope was sent. */
export type Attempts = ReadonlyMap<number, number>;

/** The socket, as delivery sees it. */
export interface DeliverySink {
  event(event: RelayEvent): void;
  deliver(fields: DeliverFields): void;
  /** Hand everything to the transport now, not at the end of this turn. */
  flush(): void;
  /** Bytes on their way, in our hands or the transport's. */
  readonly bufferedBytes: number;
  close(reason: CloseReason): void;
}

/** Delivery to one attached socket. */
export class Delivery {
  readonly mailbox: MailboxNo;
  readonly #context: Context;
  readonly #sink: DeliverySink;
  #state: 'reading' | 'live' | 'paused' | 'stopped' = 'paused';
  /** Highest number sent, or acknowledged, on this socket. */
  #sentThrough = 0;
  /** A read found everything up to here. */
  #readThrough = 0;
  /** Sent and not acknowledged: bytes by number, ascending. */
  readonly #unacked = new Map<number, number>();
  #unackedBytes = 0;
  /** Something was committed while reading. */
  #isDirty = false;
  #attempts: Attempts = NO_ATTEMPTS;
  /** Everything that waited at the start has a lower number; `undefined` once that was said. */
  #backlogEnd: number | undefined = Number.MAX_SAFE_INTEGER;
  #isBacklogKnown = false;
  #ackTimer: Cancel | undefined;
  #toldLow = false;

  constructor(context: Context, mailbox: MailboxNo, sink: DeliverySink) {
    this.#context = context;
    this.mailbox = mailbox;
    this.#sink = sink;
  }

  /** Begin with the lowest number that is queued. */
  start(attempts: Attempts | undefined): void {
    this.#attempts = attempts ?? NO_ATTEMPTS;
    void this.#read();
  }

  /** The socket is gone. What it did not acknowledge is delivered again to the next one. */
  stop(): Attempts {
    this.#state = 'stopped';
    this.#ackTimer?.();
    this.#ackTimer = undefined;
    const attempts = new Map<number, number>();
    for (const seq of this.#unacked.keys()) attempts.set(seq, (this.#attempts.get(seq) ?? 0) + 1);
    // An envelope that was not sent this time keeps the count it had.
    for (const [seq, count] of this.#attempts) {
      if (seq > this.#sentThrough && attempts.size < ATTEMPTS_MAX) attempts.set(seq, count);
    }
    return attempts;
  }

  /** A newer socket took over. */
  replace(): void {
    this.#sink.event({ kind: 'replaced' });
    this.#sink.close('REPLACED');
  }

  /** The device left its account. */
  remove(): void {
    this.end('REMOVED');
  }

  /** Nobody is to read here any more. */
  end(reason: CloseReason): void {
    this.#sink.close(reason);
  }

  /**
   * An envelope was committed to the mailbox. A hint: where one before it was not sent, the store is read,
   * or an acknowledgement of this one would delete that one.
   */
  offer(row: QueuedEnvelope, previousSeq: number): void {
    if (this.#state !== 'live') {
      this.#isDirty = true;
      return;
    }
    if (row.seq <= this.#sentThrough) return;
    if (previousSeq > this.#sentThrough && previousSeq > this.#readThrough) {
      this.nudge();
      return;
    }
    if (!this.#canSend()) {
      this.#pause();
      return;
    }
    this.#send(row);
  }

  /**
   * An envelope has its number and is not durable yet: send it if it is the next one and the device keeps
   * up. Everything else is {@link offer}'s, which comes when the envelope is durable and passes over what
   * was sent here. If that never comes, nothing is lost: its sender hears no confirmation and repeats it, and
   * the client knows the repeat by its client id.
   *
   * @returns Whether it was sent.
   */
  offerEarly(row: QueuedEnvelope, previousSeq: number): boolean {
    if (this.#state !== 'live' || row.seq <= this.#sentThrough || !this.#canSend()) return false;
    if (previousSeq > this.#sentThrough && previousSeq > this.#readThrough) return false;
    this.#send(row);
    return true;
  }

  /** Let what was sent leave now. */
  flush(): void {
    if (this.#state !== 'stopped') this.#sink.flush();
  }

  /** Something may have been committed that was not offered. */
  nudge(): void {
    this.#isDirty = true;
    if (this.#state === 'live') {
      this.#pause();
      this.resume();
    }
  }

  /** `seq` waits in the store. Read if it should have been sent. @returns whether that was so */
  missed(seq: number): boolean {
    if (this.#state !== 'live' || seq <= this.#sentThrough) return false;
    this.nudge();
    return true;
  }

  /** An envelope nobody keeps: sent now if the socket keeps up, or never. */
  offerEphemeral(clientId: QueuedEnvelope['clientId'], body: Uint8Array, minute: number): void {
    if (this.#state === 'stopped' || !this.#hasRoomInSocket()) return;
    this.#sink.deliver({ seq: 0, clientId, body, minute, attempt: 0 });
  }

  /** Something about the account that its devices should know. */
  tell(event: RelayEvent): void {
    if (this.#state !== 'stopped') this.#sink.event(event);
  }

  /** Tell about a low stock of prekeys, once until it is filled up. */
  tellStock(oneTime: number, kem: number): void {
    const { prekeysLow } = this.#context.config;
    const isLow = oneTime < prekeysLow || kem < prekeysLow;
    if (isLow && !this.#toldLow) this.tell({ kind: 'prekeysLow', oneTime, kem });
    this.#toldLow = isLow;
  }

  /**
   * The device acknowledged.
   *
   * @returns The numbers that may be deleted: a device cannot acknowledge what it was never sent.
   */
  acknowledged(
    through: number,
    also: readonly number[],
  ): { readonly through: number; readonly also: readonly number[] } {
    const known = Math.min(through, this.#highestSent());
    for (const seq of this.#unacked.keys()) {
      if (seq > known) break;
      this.#settle(seq);
    }
    const alsoKnown = also.filter((seq) => seq > known && this.#unacked.has(seq));
    for (const seq of alsoKnown) this.#settle(seq);
    this.#ackTimer?.();
    this.#ackTimer = undefined;
    if (!this.#hasWindow()) this.#watchAcks();
    this.resume();
    return { through: known, also: alsoKnown };
  }

  /** The socket's buffer went down, or the window opened. */
  resume(): void {
    if (this.#state === 'paused' && this.#canSend()) void this.#read();
  }

  async #read(): Promise<void> {
    if (this.#state === 'reading' || this.#state === 'stopped') return;
    this.#state = 'reading';
    const { store, config } = this.#context;
    try {
      while (this.#canSend()) {
        this.#isDirty = false;
        const rows = Math.min(PAGE_ROWS, config.windowEnvelopes - this.#unacked.size);
        const bytes = Math.max(1, config.windowBytes - this.#unackedBytes);
        const page = await store.read(this.mailbox, this.#sentThrough, rows, bytes);
        // The socket may have closed while the store was read.
        if (this.#isStopped()) return;
        if (!this.#isBacklogKnown) {
          this.#isBacklogKnown = true;
          this.#backlogEnd = page.nextSeq;
        }
        for (const row of page.rows) this.#send(row);
        this.#sayWhenEmpty(page.isLast);
        if (page.isLast && !this.#isDirty) {
          this.#readThrough = page.nextSeq - 1;
          this.#state = 'live';
          return;
        }
      }
      this.#pause();
    } catch (error) {
      const errorClass = error instanceof Error ? error.name : 'unknown';
      this.#context.log.write('error', 'REQUEST_FAULT', { errorClass });
      // The client comes back and reads again.
      this.#sink.close('INTERNAL');
    }
  }

  #send(row: QueuedEnvelope): void {
    const { seq, clientId, body, minute } = row;
    const attempt = this.#attempts.get(seq) ?? 0;
    this.#context.metrics.deliveries++;
    this.#sentThrough = seq;
    this.#unacked.set(seq, body.length);
    this.#unackedBytes += body.length;
    this.#sink.deliver({ seq, clientId, body, minute, attempt });
    if (!this.#hasWindow()) this.#watchAcks();
  }

  #sayWhenEmpty(isLast: boolean): void {
    if (this.#backlogEnd === undefined) return;
    if (!isLast && this.#sentThrough + 1 < this.#backlogEnd) return;
    this.#backlogEnd = undefined;
    this.#sink.event({ kind: 'queueEmpty' });
  }

  #pause(): void {
    if (this.#state !== 'stopped') this.#state = 'paused';
  }

  #settle(seq: number): void {
    this.#unackedBytes -= this.#unacked.get(seq) ?? 0;
    this.#unacked.delete(seq);
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #highestSent(): number {
    // What an earlier socket was sent may be acknowledged here, before it is sent again.
    let highest = this.#sentThrough;
    for (const seq of this.#attempts.keys()) if (seq > highest) highest = seq;
    return highest;
  }

  #canSend(): boolean {
    return this.#hasWindow() && this.#hasRoomInSocket();
  }

  #hasWindow(): boolean {
    const { windowEnvelopes, windowBytes } = this.#context.config;
    return this.#unacked.size < windowEnvelopes && this.#unackedBytes < windowBytes;
  }

  #hasRoomInSocket(): boolean {
    return this.#sink.bufferedBytes < this.#context.config.outBufferBytes;
  }

  /** A full window that nobody acknowledges is a reader that hangs. */
  #watchAcks(): void {
    if (this.#ackTimer !== undefined) return;
    this.#ackTimer = this.#context.clock.after(this.#context.config.ackTimeoutMs, () => {
      this.#ackTimer = undefined;
      if (this.#state !== 'stopped') this.#sink.close('SLOW');
    });
  }
}

/** Rows read at once: reads are short, or they would hold up commits and pin the write-ahead log. */
const PAGE_ROWS = 100;

const NO_ATTEMPTS: Attempts = new Map();

/** Attempts carried from one socket to the next. */
const ATTEMPTS_MAX = 1_024;
