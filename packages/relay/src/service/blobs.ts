/**
 * 13 Relay §14. Blobs, the part on the socket: reserve room, give tickets, keep, delete; and expiry.
 */
import {
  type Bytes,
  type BlobCreateRequest,
  type BlobRequest,
  copyBytes,
  toHex,
} from '@qasid/protocol/envelope';
import { type Blobs, BlobsFull } from '../blobs/port.js';
import type { Authorised } from '../protocol/connection.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import type { TicketAction } from '../protocol/tickets.js';
import { type BlobRow, DAY_MINUTES, type RemovedBlob } from '../store/port-blobs.js';
import { type Context, storeRefusal } from './context.js';
import type { FreeDisk } from './free-disk.js';
import { SWEEP_ROWS, Sweeper, type SweepSlice } from './sweeper.js';
import type { TicketKeys } from './ticket-keys.js';

/** What blobs need beside the rest. `undefined` in a relay without them. */
export interface BlobParts {
  readonly blobs: Blobs;
  readonly tickets: TicketKeys;
  readonly disk: FreeDisk;
}

/** The name under which an adapter keeps a blob. */
export function blobName(key: Uint8Array): string {
  return toHex(key);
}

/** Minutes since 1970. */
export function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / 60_000);
}

/** Blobs on the socket. */
export class BlobDesk {
  readonly #context: Context;
  readonly #parts: BlobParts | undefined;
  /** Deletes what expired: rows first, then bytes. */
  readonly sweeper: Sweeper;
  /** Deletes bytes without a row: a relay was killed between the two. */
  readonly orphanSweeper: Sweeper;

  constructor(context: Context, parts: BlobParts | undefined) {
    this.#context = context;
    this.#parts = parts;
    const { clock, log } = context;
    const common = { clock, log };
    this.sweeper = new Sweeper({
      ...common,
      everyMs: SWEEP_EVERY_MS,
      slice: () => this.#sweep(),
    });
    this.orphanSweeper = new Sweeper({
      ...common,
      everyMs: ORPHANS_EVERY_MS,
      firstMs: SWEEP_EVERY_MS,
      slice: () => this.#sweepOrphans(),
    });
  }

  /** Reserve room for a blob; the answer names it. */
  async create(who: Authorised, op: BlobCreateRequest): Promise<Reply> {
    const parts = this.#parts;
    if (parts === undefined) return refused('UNSUPPORTED');
    const limited = await this.#limit(who, parts, true);
    if (limited !== undefined) return limited;
    const { config, crypto, writer, clock } = this.#context;
    if (op.size < 1) return refused('BAD_REQUEST');
    if (op.size > config.blobBytesMax) return refused('TOO_LARGE');
    const id = crypto.randomBytes(32);
    try {
      const { kind } = await writer.submit({
        kind: 'createBlob',
        key: crypto.sha256(id),
        owner: who.account,
        size: op.size,
        verifier: op.verifier,
        expiresMinute: minuteOf(clock.nowMs()) + UPLOAD_IDLE_MINUTES,
        days: this.#days(op.days),
        bytesMax: config.blobQuotaBytes,
        uploadsMax: config.blobUploadsMax,
      });
      if (kind === 'blobQuota') return refused('QUOTA_EXCEEDED');
      return this.#ticket(who, parts, 'write', id, op.size);
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Another ticket, or a change to a blob. */
  async answer(who: Authorised, op: BlobRequest): Promise<Reply> {
    const parts = this.#parts;
    if (parts === undefined) return refused('UNSUPPORTED');
    const limited = await this.#limit(who, parts, op.action === 'write');
    if (limited !== undefined) return limited;
    try {
      if (op.action === 'read' || op.action === 'write') return await this.#grant(who, parts, op);
      return await this.#change(who, op);
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  async #grant(who: Authorised, parts: BlobParts, op: BlobRequest): Promise<Reply> {
    const { crypto, store } = this.#context;
    const row = await this.live(crypto.sha256(op.id), store);
    if (row === undefined) return refused('NOT_FOUND');
    if (op.action === 'read') {
      if (row.offset < row.size) return refused('NOT_FOUND');
      return this.#ticket(who, parts, 'read', op.id, row.size);
    }
    if (!op.capability) return refused('BAD_REQUEST');
    if (toHex(crypto.sha256(op.capability)) !== toHex(row.verifier)) return refused('REFUSED');
    return this.#ticket(who, parts, 'write', op.id, row.size);
  }

  async #change(who: Authorised, op: BlobRequest): Promise<Reply> {
    const { config, crypto, writer, clock } = this.#context;
    if (!op.capability) return refused('BAD_REQUEST');
    const key = crypto.sha256(op.id);
    const verifier = crypto.sha256(op.capability);
    const { account } = who;
    if (op.action === 'delete') {
      const result = await writer.submit({ kind: 'removeBlob', key, by: { verifier, account } });
      if (result.kind === 'blobRemoved') {
        await this.removeBytes(result);
        return CONFIRMED;
      }
      return refused(result.kind === 'blobDenied' ? 'REFUSED' : 'NOT_FOUND');
    }
    const expiresMinute = minuteOf(clock.nowMs()) + this.#days(op.days) * DAY_MINUTES;
    const result = await writer.submit({
      kind: 'keepBlob',
      key,
      verifier,
      account,
      expiresMinute,
      bytesMax: config.blobQuotaBytes,
    });
    switch (result.kind) {
      case 'blobKept':
        return CONFIRMED;
      case 'blobQuota':
        return refused('QUOTA_EXCEEDED');
      case 'blobDenied':
        return refused('REFUSED');
      case 'noBlob':
        return refused('NOT_FOUND');
    }
  }

  /** A row that has not expired. */
  async live(
    key: Uint8Array,
    store: Context['store'] = this.#context.store,
  ): Promise<BlobRow | undefined> {
    const row = await store.blob(key);
    const isLive = row !== undefined && row.expiresMinute > minuteOf(this.#context.clock.nowMs());
    return isLive ? row : undefined;
  }

  /** Remove the bytes of a row that is gone. What fails here is found by the sweep of orphans. */
  async removeBytes({ key, state }: RemovedBlob): Promise<void> {
    try {
      await this.#parts?.blobs.remove(blobName(key), state);
    } catch (error) {
      this.fault(error);
    }
  }

  /** Something about bytes failed. */
  fault(error: unknown): void {
    const errorClass = error instanceof Error ? error.name : 'unknown';
    const event = error instanceof BlobsFull ? 'BLOBS_FULL' : 'BLOB_FAULT';
    this.#context.log.write('error', event, { errorClass });
  }

  #ticket(
    who: Authorised,
    { tickets }: BlobParts,
    action: TicketAction,
    id: Bytes,
    size: number,
  ): Reply {
    const ttlSeconds = action === 'write' ? WRITE_TICKET_SECONDS : READ_TICKET_SECONDS;
    const expires = Math.floor(this.#context.clock.nowMs() / 1000) + ttlSeconds;
    const budget = tickets.budgetOf(who.account);
    const ticket = tickets.seal({ action, id, size, expires, budget });
    return confirmed({ kind: 'blobTicket', id, ticket, ttlSeconds });
  }

  async #limit(
    who: Authorised,
    { disk }: BlobParts,
    isUpload: boolean,
  ): Promise<Reply | undefined> {
    const { budgets, clock, isDraining, writer } = this.#context;
    if (isDraining) return refused('DRAINING', 2_000);
    if (writer.isFull) return refused('BUSY', 500);
    const wait = budgets.blobRequests.take(String(who.mailbox), 1, clock.monotonicMs());
    if (wait > 0) return refused('RATE_LIMITED', wait);
    if (isUpload && (await disk.isLow())) return refused('UNAVAILABLE', DISK_RETRY_MS);
    return undefined;
  }

  #days(wanted: number): number {
    const { blobDays, blobDaysMax } = this.#context.config;
    return wanted === 0 ? blobDays : Math.min(wanted, blobDaysMax);
  }

  async #sweep(): Promise<SweepSlice> {
    const { clock, writer } = this.#context;
    const nowMinute = minuteOf(clock.nowMs());
    const { removed } = await writer.submit({ kind: 'sweepBlobs', nowMinute, limit: SWEEP_BLOBS });
    for (const blob of removed) await this.removeBytes(blob);
    return { deleted: removed.length, isFull: removed.length === SWEEP_BLOBS };
  }

  async #sweepOrphans(): Promise<SweepSlice> {
    const parts = this.#parts;
    let deleted = 0;
    if (parts === undefined) return { deleted, isFull: false };
    for await (const name of parts.blobs.names()) {
      const key = copyBytes(Buffer.from(name, 'hex'));
      if ((await this.#context.store.blob(key)) !== undefined) continue;
      await this.removeBytes({ key, state: new Uint8Array(0) });
      if (++deleted === SWEEP_ROWS) return { deleted, isFull: true };
    }
    return { deleted, isFull: false };
  }
}

/** How long an upload may rest before it expires. Lower: a night without network ends it. */
export const UPLOAD_IDLE_MINUTES: number = DAY_MINUTES;

const WRITE_TICKET_SECONDS = 6 * 60 * 60;
const READ_TICKET_SECONDS = 60 * 60;
const DISK_RETRY_MS = 60_000;
const SWEEP_EVERY_MS = 10 * 60 * 1000;
const ORPHANS_EVERY_MS = 24 * 60 * 60 * 1000;
/** Blobs in one slice: each is a file to delete. */
const SWEEP_BLOBS = 50;
