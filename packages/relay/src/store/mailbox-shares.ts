/**
 * 13 Relay §6. Who fills a mailbox: its last quarter of room is kept for senders who have little in it, so
 * that a flood by one of them pushes nobody else out (ATK-I05).
 *
 * Counted in memory, and only while a mailbox is a quarter full: most never are. Senders without a name are
 * bounded by their tokens instead.
 */
import type { MailboxNo, MailboxQuota } from './port.js';

/** What is in a mailbox, or what one sender has in it. */
export interface Fill {
  readonly envelopes: number;
  readonly bytes: number;
}

/** Shares of all mailboxes that are getting full. */
export class MailboxShares {
  readonly #mailboxes = new Map<MailboxNo, Map<number, Fill>>();
  #undo: (() => void)[] = [];

  /** Whether `sender` may add one envelope; that there is room at all is somebody else's question. */
  mayAdd(
    mailbox: MailboxNo,
    sender: number,
    fill: Fill,
    bytes: number,
    quota: MailboxQuota,
  ): boolean {
    if (sender <= 0 || !isFilled(fill, quota, CROWDED)) return true;
    const mine = this.#mailboxes.get(mailbox)?.get(sender) ?? NOTHING;
    const more = { envelopes: mine.envelopes + 1, bytes: mine.bytes + bytes };
    return !isFilled(more, quota, SHARE);
  }

  /** One was added. `fill` is what was there before. */
  added(mailbox: MailboxNo, sender: number, fill: Fill, bytes: number, quota: MailboxQuota): void {
    if (sender <= 0) return;
    if (!isFilled(fill, quota, COUNTED)) {
      this.#mailboxes.delete(mailbox);
      return;
    }
    const shares = this.#mailboxes.get(mailbox) ?? new Map<number, Fill>();
    this.#mailboxes.set(mailbox, shares);
    const before = shares.get(sender) ?? NOTHING;
    shares.set(sender, { envelopes: before.envelopes + 1, bytes: before.bytes + bytes });
    this.#undo.push(() => shares.set(sender, before));
  }

  /** The mailbox is empty, or gone. */
  emptied(mailbox: MailboxNo): void {
    this.#mailboxes.delete(mailbox);
  }

  /** The commit is durable. */
  keep(): void {
    this.#undo.length = 0;
  }

  /** The commit failed. */
  rollBack(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }
}

/** Whether `fill` is more than `part` of a quota. */
function isFilled({ envelopes, bytes }: Fill, quota: MailboxQuota, part: number): boolean {
  return envelopes > quota.envelopesMax * part || bytes > quota.bytesMax * part;
}

const NOTHING: Fill = { envelopes: 0, bytes: 0 };

/** From here on it is counted who sent what. */
const COUNTED = 0.25;

/** From here on, nobody may have more than a share. */
const CROWDED = 0.75;

/** What one sender may have in a crowded mailbox. */
export const SHARE = 0.25;
