/**
 * 13 Relay §3. What a store keeps in memory about mailboxes: sizes, and which client ids it has seen.
 *
 * Changes are made as a commit goes along and undone when it fails, so that later changes of the same
 * commit see earlier ones.
 */
import { idKey } from './id-key.js';
import type { Fill } from './mailbox-shares.js';
import type { MailboxNo, MailboxQuota } from './port.js';

/** An envelope that was stored, as far as recognising its repeat needs it. */
export interface Seen {
  readonly seq: number;
  /** 0 when it was found on disk: its sender is not written down. */
  readonly sender: MailboxNo;
}

/** The same with what forgetting it and undoing it need: one object for each envelope, kept for minutes. */
interface Entry extends Seen {
  readonly mailbox: MailboxNo;
  readonly key: string;
  readonly bytes: number;
  readonly atMs: number;
  /** The number before it in its mailbox. */
  readonly previousSeq: number;
  /** Another one with the same client id. */
  readonly earlier: Entry | undefined;
}

interface Mailbox {
  envelopes: number;
  bytes: number;
  /** By client id; `undefined` until an append needs it. */
  seen: Map<string, Entry> | undefined;
  lastAppendMs: number;
  /** Nothing up to this number is queued. */
  ackedThrough: number;
  /** The highest number it was given. */
  lastSeq: number;
}

/** Loads what is queued in a mailbox when its client ids are first needed. */
export type QueuedIds = (
  mailbox: MailboxNo,
) => readonly { readonly clientId: Uint8Array; readonly seq: number }[];

/** Sizes and client ids per mailbox. */
export class MailboxMemory {
  readonly #mailboxes = new Map<MailboxNo, Mailbox>();
  readonly #load: QueuedIds;
  readonly #memoryMs: number;
  readonly #repeatsMax: number;
  /** What this commit added, and how to undo what else it did. */
  #added: Entry[] = [];
  #undo: (() => void)[] = [];
  #envelopes = 0;
  #bytes = 0;
  /** Repeats by the time they may be forgotten; appended in order of time. */
  #aging: Entry[] = [];
  #agingStart = 0;

  constructor(load: QueuedIds, memoryMs: number, repeatsMax: number = REPEATS_MAX) {
    this.#repeatsMax = repeatsMax;
    this.#load = load;
    this.#memoryMs = memoryMs;
  }

  /** An envelope that is on disk at start, in order of their numbers. */
  prime(mailbox: MailboxNo, seq: number, bytes: number): void {
    this.#resize(mailbox, 1, bytes);
    this.#get(mailbox).lastSeq = seq;
  }

  /** Sums over all mailboxes. */
  get totals(): { readonly envelopes: number; readonly bytes: number } {
    return { envelopes: this.#envelopes, bytes: this.#bytes };
  }

  /** Whether `mailbox` has room for `bytes` more in one envelope. */
  hasRoom(mailbox: MailboxNo, bytes: number, quota: MailboxQuota): boolean {
    const known = this.#mailboxes.get(mailbox);
    if (known === undefined) return bytes <= quota.bytesMax;
    return known.envelopes < quota.envelopesMax && known.bytes + bytes <= quota.bytesMax;
  }

  /** Earlier envelopes with the client id of this {@link idKey}. */
  seen(mailbox: MailboxNo, key: string): readonly Seen[] {
    let entry = this.#seenOf(mailbox).get(key);
    // Nearly every time: it is new.
    if (entry === undefined) return NOTHING;
    const all: Seen[] = [];
    for (; entry !== undefined; entry = entry.earlier) {
      all.unshift({ seq: entry.seq, sender: entry.sender });
    }
    return all;
  }

  /** How much waits in `mailbox`. */
  fill(mailbox: MailboxNo): Fill {
    const known = this.#mailboxes.get(mailbox);
    return { envelopes: known?.envelopes ?? 0, bytes: known?.bytes ?? 0 };
  }

  /** Envelopes that wait in `mailbox`. */
  queued(mailbox: MailboxNo): number {
    return this.#mailboxes.get(mailbox)?.envelopes ?? 0;
  }

  /**
   * An envelope was inserted; `key` is that of its client id.
   *
   * @returns The number before it in this mailbox; 0 when nothing before it waits.
   */
  added(mailbox: MailboxNo, key: string, entry: Seen, bytes: number, nowMs: number): number {
    const seen = this.#seenOf(mailbox);
    const known = this.#get(mailbox);
    const previousSeq = known.lastSeq;
    const added: Entry = {
      seq: entry.seq,
      sender: entry.sender,
      mailbox,
      key,
      bytes,
      atMs: nowMs,
      previousSeq,
      earlier: seen.get(key),
    };
    seen.set(key, added);
    known.envelopes++;
    known.bytes += bytes;
    this.#envelopes++;
    this.#bytes += bytes;
    known.lastSeq = entry.seq;
    known.lastAppendMs = nowMs;
    this.#aging.push(added);
    this.#added.push(added);
    return previousSeq;
  }

  /** Envelopes were deleted. Their client ids are still recognised for a while. */
  removed(mailbox: MailboxNo, envelopes: number, bytes: number, ackedThrough = 0): void {
    if (envelopes === 0) return;
    const known = this.#get(mailbox);
    const before = known.ackedThrough;
    known.ackedThrough = Math.max(before, ackedThrough);
    this.#resize(mailbox, -envelopes, -bytes);
    this.#undo.push(() => {
      known.ackedThrough = before;
      this.#resize(mailbox, envelopes, bytes);
    });
  }

  /** A mailbox is gone. */
  dropped(mailbox: MailboxNo): void {
    const known = this.#mailboxes.get(mailbox);
    if (known === undefined) return;
    this.#mailboxes.delete(mailbox);
    this.#envelopes -= known.envelopes;
    this.#bytes -= known.bytes;
    this.#undo.push(() => {
      this.#mailboxes.set(mailbox, known);
      this.#envelopes += known.envelopes;
      this.#bytes += known.bytes;
    });
  }

  /** The commit is durable. */
  keep(): void {
    this.#undo.length = 0;
    this.#added.length = 0;
  }

  /** The commit failed: as if nothing had happened. */
  rollBack(): void {
    // Mailboxes that were dropped first: what was added may be in them.
    for (const undo of this.#undo.reverse()) undo();
    for (const entry of this.#added.reverse()) {
      const known = this.#get(entry.mailbox);
      if (entry.earlier === undefined) known.seen?.delete(entry.key);
      else known.seen?.set(entry.key, entry.earlier);
      known.lastSeq = entry.previousSeq;
      this.#resize(entry.mailbox, -1, -entry.bytes);
    }
    this.keep();
  }

  /**
   * Forget client ids that are older than the memory. `isQueued` tells whether an envelope still waits:
   * then its id stays until the whole mailbox has been quiet for as long.
   */
  forget(nowMs: number): void {
    const before = nowMs - this.#memoryMs;
    const aging = this.#aging;
    while (this.#agingStart < aging.length) {
      const oldest = aging[this.#agingStart];
      const isCrowded = aging.length - this.#agingStart > this.#repeatsMax;
      if (oldest === undefined || (oldest.atMs > before && !isCrowded)) break;
      this.#agingStart++;
      const mailbox = this.#mailboxes.get(oldest.mailbox);
      if (mailbox?.seen === undefined) continue;
      // Quiet or overgrown: drop the map. An append loads what is still queued from disk again.
      const isOvergrown = mailbox.seen.size > mailbox.envelopes + SEEN_SPARE_MAX;
      if (mailbox.lastAppendMs <= before || isOvergrown) mailbox.seen = undefined;
      else if (mailbox.envelopes === 0 || oldest.seq <= mailbox.ackedThrough) {
        mailbox.seen.delete(oldest.key);
      }
      if (mailbox.envelopes === 0 && mailbox.seen === undefined) {
        this.#mailboxes.delete(oldest.mailbox);
      }
    }
    if (this.#agingStart > 1024 && this.#agingStart * 2 > aging.length) {
      this.#aging = aging.slice(this.#agingStart);
      this.#agingStart = 0;
    }
  }

  #seenOf(number: MailboxNo): Map<string, Entry> {
    const mailbox = this.#get(number);
    if (mailbox.seen === undefined) {
      mailbox.seen = new Map();
      if (mailbox.envelopes > 0) {
        for (const { clientId, seq } of this.#load(number)) {
          const key = idKey(clientId);
          mailbox.seen.set(key, {
            seq,
            sender: 0,
            mailbox: number,
            key,
            bytes: 0,
            atMs: 0,
            previousSeq: 0,
            earlier: mailbox.seen.get(key),
          });
        }
      }
    }
    return mailbox.seen;
  }

  #resize(number: MailboxNo, envelopes: number, bytes: number): void {
    const mailbox = this.#get(number);
    mailbox.envelopes += envelopes;
    mailbox.bytes += bytes;
    this.#envelopes += envelopes;
    this.#bytes += bytes;
  }

  #get(number: MailboxNo): Mailbox {
    const known = this.#mailboxes.get(number);
    if (known !== undefined) return known;
    const fresh: Mailbox = {
      envelopes: 0,
      bytes: 0,
      seen: undefined,
      lastAppendMs: 0,
      ackedThrough: 0,
      lastSeq: 0,
    };
    this.#mailboxes.set(number, fresh);
    return fresh;
  }
}

const NOTHING: readonly Seen[] = [];

/** Client ids remembered in all, about 250 bytes each. Lower: under load some repeats are stored again, and
 *  dropped by the client. Higher: memory. At 1,000 envelopes a second ten minutes fit. */
const REPEATS_MAX = 600_000;

/** Acknowledged client ids one busy mailbox may keep beyond its memory. Lower: some repeats are stored
 *  again, and dropped by the client. Higher: a mailbox that is never quite empty grows. */
const SEEN_SPARE_MAX = 16_384;
