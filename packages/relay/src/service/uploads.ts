/**
 * 13 Relay §14. Blobs, the bytes: uploads that go on where they stopped, and downloads, both in constant
 * memory.
 *
 * An upload's offset in the store is what is durable, and nothing else is ever told to a client. One request
 * writes a blob at a time: a newer one takes over, as a client that lost its connection comes back before
 * we notice.
 */
import { toHex } from '@qasid/protocol/envelope';
import { BlobGone, BlobsFull, type BlobWriter } from '../blobs/port.js';
import type { ByteRange } from '../protocol/byte-range.js';
import type { Ticket } from '../protocol/tickets.js';
import type { BlobRow } from '../store/port-blobs.js';
import type { HttpExchange, HttpHeaders } from '../transport/exchange.js';
import { type BlobDesk, type BlobParts, blobName, minuteOf, UPLOAD_IDLE_MINUTES } from './blobs.js';
import type { Context } from './context.js';

/** How a transfer ended. */
export type TransferEnd =
  | { readonly kind: 'done'; readonly offset: number }
  /** The client is gone; nobody to answer. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'conflict'; readonly offset: number }
  | { readonly kind: 'tooLong' }
  | { readonly kind: 'full' }
  | { readonly kind: 'draining' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'limited'; readonly retryAfterMs: number }
  | { readonly kind: 'failed' };

interface Active {
  /** Set by who takes over, or by the end of the relay: stop at the next piece, keep what came. */
  isStopped: boolean;
  /** Wakes an upload that waits for its client. */
  wake: () => void;
  readonly ended: Promise<void>;
}

/** The transfers of a relay. */
export class Transfers {
  readonly #context: Context;
  /** The adapter, tickets and disk these transfers use. */
  readonly parts: BlobParts;
  readonly #desk: BlobDesk;
  readonly #uploads = new Map<string, Active>();
  #downloads = 0;

  constructor(context: Context, parts: BlobParts, desk: BlobDesk) {
    this.#context = context;
    this.parts = parts;
    this.#desk = desk;
  }

  /** What is durable of a blob, after anybody who writes it was stopped. */
  async offsetOf(key: Uint8Array): Promise<BlobRow | undefined> {
    await this.#stop(toHex(key));
    return this.#desk.live(key);
  }

  /** Take the body of `exchange` as bytes `offset` and on of a blob. */
  async upload(
    exchange: HttpExchange,
    ticket: Ticket,
    offset: number,
    length: number | undefined,
  ): Promise<TransferEnd> {
    const { crypto, isDraining } = this.#context;
    if (isDraining) return { kind: 'draining' };
    const key = crypto.sha256(ticket.id);
    const name = blobName(key);
    await this.#stop(name);
    if (this.#uploads.size >= UPLOADS_MAX) return { kind: 'busy' };
    if (await this.parts.disk.isLow()) return { kind: 'full' };
    let ended = (): void => undefined;
    const active: Active = {
      isStopped: false,
      wake: () => undefined,
      ended: new Promise((resolve) => {
        ended = resolve;
      }),
    };
    // Taken over by an even newer request while we looked at the disk.
    if (this.#uploads.has(name)) return { kind: 'busy' };
    this.#uploads.set(name, active);
    try {
      const row = await this.#desk.live(key);
      if (row === undefined) return { kind: 'missing' };
      if (row.offset !== offset) return { kind: 'conflict', offset: row.offset };
      if (length !== undefined && length > row.size - offset) return { kind: 'tooLong' };
      if (row.offset === row.size) return { kind: 'done', offset };
      return await new Upload(this.#context, this.parts, exchange, ticket, key, row, active).run();
    } catch (error) {
      this.#desk.fault(error);
      if (error instanceof BlobGone) return { kind: 'missing' };
      return { kind: error instanceof BlobsFull ? 'full' : 'failed' };
    } finally {
      this.#uploads.delete(name);
      ended();
    }
  }

  /** Send part of a whole blob, after `begin`. */
  async download(
    exchange: HttpExchange,
    key: Uint8Array,
    range: { readonly start: number; readonly end: number },
    head: { readonly status: 200 | 206; readonly headers: HttpHeaders },
  ): Promise<'sent' | 'gone' | 'missing' | 'busy' | 'failed'> {
    if (this.#downloads >= DOWNLOADS_MAX) return 'busy';
    this.#downloads++;
    let isBegun = false;
    try {
      for await (const piece of this.parts.blobs.read(blobName(key), range.start, range.end)) {
        // Only now is it certain that there is something to send.
        if (!isBegun) exchange.begin(head.status, head.headers, range.end - range.start);
        isBegun = true;
        if (this.#context.isDraining || !(await exchange.send(piece))) {
          exchange.abort();
          return 'gone';
        }
      }
      return 'sent';
    } catch (error) {
      this.#desk.fault(error);
      if (!isBegun) return error instanceof BlobGone ? 'missing' : 'failed';
      exchange.abort();
      return 'gone';
    } finally {
      this.#downloads--;
    }
  }

  /** Stop all uploads and wait until what came is durable. */
  async close(): Promise<void> {
    await Promise.all([...this.#uploads.keys()].map((name) => this.#stop(name)));
  }

  async #stop(name: string): Promise<void> {
    const active = this.#uploads.get(name);
    if (active === undefined) return;
    active.isStopped = true;
    active.wake();
    await active.ended;
  }
}

/** One request that writes. */
class Upload {
  readonly #context: Context;
  readonly #parts: BlobParts;
  readonly #exchange: HttpExchange;
  readonly #key: Uint8Array;
  readonly #row: BlobRow;
  readonly #active: Active;
  readonly #budget: string;
  /** Durable and written down. */
  #offset: number;
  /** Taken by the adapter. */
  #written: number;

  constructor(
    context: Context,
    parts: BlobParts,
    exchange: HttpExchange,
    ticket: Ticket,
    key: Uint8Array,
    row: BlobRow,
    active: Active,
  ) {
    this.#context = context;
    this.#parts = parts;
    this.#exchange = exchange;
    this.#key = key;
    this.#row = row;
    this.#active = active;
    this.#budget = toHex(ticket.budget);
    this.#offset = row.offset;
    this.#written = row.offset;
  }

  async run(): Promise<TransferEnd> {
    const { size, offset, state } = this.#row;
    const writer = await this.#parts.blobs.append(blobName(this.#key), size, { offset, state });
    try {
      const end = await this.#take(writer);
      // Whatever stopped it: what came and fits is kept.
      const isKept = await this.#checkpoint(writer);
      if (!isKept) return { kind: 'missing' };
      return end.kind === 'done' ? { kind: 'done', offset: this.#offset } : end;
    } finally {
      await writer.close();
    }
  }

  async #take(writer: BlobWriter): Promise<TransferEnd> {
    const { size } = this.#row;
    for (;;) {
      const piece = await this.#next();
      if (piece === 'stopped') {
        return { kind: this.#context.isDraining ? 'draining' : 'busy' };
      }
      if (piece === 'aborted') return { kind: 'gone' };
      if (piece === 'end') return { kind: 'done', offset: this.#written };
      if (piece.length > size - this.#written) return { kind: 'tooLong' };
      const limited = await this.#pace(piece.length);
      if (limited !== undefined) return limited;
      await writer.write(piece);
      this.#written += piece.length;
      if (this.#written - this.#offset < CHECKPOINT_BYTES) continue;
      if (!(await this.#checkpoint(writer))) return { kind: 'missing' };
      if (await this.#parts.disk.isLow()) return { kind: 'full' };
    }
  }

  /** The next piece, or that somebody wants this upload to stop. */
  async #next(): Promise<Uint8Array | 'end' | 'aborted' | 'stopped'> {
    if (this.#active.isStopped) return 'stopped';
    const stopped = new Promise<'stopped'>((resolve) => {
      this.#active.wake = () => resolve('stopped');
    });
    return Promise.race([this.#exchange.read(), stopped]);
  }

  /** Wait until the account's budget allows `bytes`; the sender is paused meanwhile. */
  async #pace(bytes: number): Promise<TransferEnd | undefined> {
    const { budgets, clock } = this.#context;
    const amount = Math.min(bytes, budgets.blobBytes.rule.burst);
    for (;;) {
      const waitMs = budgets.blobBytes.take(this.#budget, amount, clock.monotonicMs());
      if (waitMs === 0) return undefined;
      if (waitMs > PACE_MAX_MS) return { kind: 'limited', retryAfterMs: waitMs };
      await new Promise<void>((resolve) => clock.after(waitMs, resolve));
      if (this.#active.isStopped) return { kind: 'busy' };
    }
  }

  /** Make what came durable and write it down. False when the blob was deleted meanwhile. */
  async #checkpoint(writer: BlobWriter): Promise<boolean> {
    if (this.#written === this.#offset) return true;
    const isWhole = this.#written === this.#row.size;
    const progress = isWhole ? await writer.finish() : await writer.sync();
    const nowMinute = minuteOf(this.#context.clock.nowMs());
    const { kind } = await this.#context.writer.submit({
      kind: 'advanceBlob',
      key: this.#key,
      from: this.#offset,
      offset: progress.offset,
      state: progress.state,
      nowMinute,
      expiresMinute: nowMinute + UPLOAD_IDLE_MINUTES,
    });
    this.#offset = progress.offset;
    if (kind === 'blobAdvanced') {
      await writer.committed();
      return true;
    }
    await this.#parts.blobs.remove(blobName(this.#key), progress.state);
    return false;
  }
}

/** The part of a blob that a range names. */
export function partOf(
  range: Exclude<ByteRange, { kind: 'unsatisfiable' }>,
  size: number,
): { readonly start: number; readonly end: number } {
  return range.kind === 'whole' ? { start: 0, end: size } : range;
}

/** Bytes after which an upload under way is made durable. Lower: more fsyncs. Higher: a crash costs more. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;

/** Uploads and downloads at a time in the whole relay; each costs up to a few MiB. */
const UPLOADS_MAX = 64;
const DOWNLOADS_MAX = 512;

/** A longer wait is told to the client instead of holding its connection. */
const PACE_MAX_MS = 5_000;
