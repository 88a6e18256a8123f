/**
 * 13 Relay §3.9. Which young envelopes wait in which mailbox, in memory: most are acknowledged within
 * seconds, and never cost an index entry on disk.
 *
 * An envelope leaves this list when it is acknowledged, expires, or is written into the index on disk
 * because it has waited for a minute. Changes are undone when their commit fails.
 */
import type { MailboxNo } from './port.js';

/** An envelope that waits and is in no index on disk. */
export interface YoungEnvelope {
  readonly mailbox: MailboxNo;
  readonly seq: number;
  readonly bytes: number;
  readonly atMs: number;
  /** Still in this list. */
  isListed: boolean;
}

/** The young ones of one mailbox in order of their numbers; those before `start` are gone. */
interface Line {
  entries: YoungEnvelope[];
  start: number;
  count: number;
}

/** All young envelopes. */
export class YoungEnvelopes {
  readonly #lines = new Map<MailboxNo, Line>();
  /** All of them, in order; those before the start are gone. */
  #order: YoungEnvelope[] = [];
  #orderStart = 0;
  #count = 0;
  /** What this commit did so far. */
  readonly #added: YoungEnvelope[] = [];
  readonly #taken: YoungEnvelope[] = [];
  readonly #touched = new Set<Line>();
  readonly #maxCount: number;

  constructor(maxCount: number = YOUNG_MAX) {
    this.#maxCount = maxCount;
  }

  /** How many of a mailbox are listed here. */
  count(mailbox: MailboxNo): number {
    return this.#lines.get(mailbox)?.count ?? 0;
  }

  /** One was inserted; its number is above all others. */
  added(mailbox: MailboxNo, seq: number, bytes: number, atMs: number): void {
    let line = this.#lines.get(mailbox);
    if (line === undefined) {
      line = { entries: [], start: 0, count: 0 };
      this.#lines.set(mailbox, line);
    }
    const entry = { mailbox, seq, bytes, atMs, isListed: true };
    line.entries.push(entry);
    line.count++;
    this.#count++;
    this.#order.push(entry);
    this.#added.push(entry);
  }

  /** Those of a mailbox with a number above `afterSeq`, ascending. */
  *after(mailbox: MailboxNo, afterSeq: number): Generator<YoungEnvelope> {
    const line = this.#lines.get(mailbox);
    if (line === undefined) return;
    const { entries } = line;
    for (let at = firstAbove(entries, line.start, afterSeq); at < entries.length; at++) {
      const entry = entries[at];
      if (entry?.isListed) yield entry;
    }
  }

  /** Take those up to `through` off the list, ascending. */
  takeThrough(mailbox: MailboxNo, through: number): readonly YoungEnvelope[] {
    const line = this.#lines.get(mailbox);
    if (line === undefined) return NOTHING;
    const taken: YoungEnvelope[] = [];
    for (let at = line.start; at < line.entries.length; at++) {
      const entry = line.entries[at];
      if (entry === undefined || entry.seq > through) break;
      if (entry.isListed) this.#take(line, entry, taken);
    }
    return taken;
  }

  /** Take one off the list, if it is there. */
  takeOne(mailbox: MailboxNo, seq: number): YoungEnvelope | undefined {
    const line = this.#lines.get(mailbox);
    if (line === undefined) return undefined;
    const entry = line.entries[firstAbove(line.entries, line.start, seq - 1)];
    if (entry?.seq !== seq || !entry.isListed) return undefined;
    this.#take(line, entry, []);
    return entry;
  }

  /**
   * Take those off the list that are old enough for the index on disk, or too many, at most `limit`.
   *
   * @returns They and the number up to which none is young any more; `undefined` when nothing changes.
   */
  takeAged(
    nowMs: number,
    limit: number,
  ): { readonly aged: readonly YoungEnvelope[]; readonly through: number } | undefined {
    const aged: YoungEnvelope[] = [];
    let through: number | undefined;
    for (let at = this.#orderStart; at < this.#order.length; at++) {
      const entry = this.#order[at];
      if (entry === undefined || aged.length >= limit) break;
      if (!entry.isListed) continue;
      if (entry.atMs + YOUNG_MS > nowMs && this.#count <= this.#maxCount) break;
      const line = this.#lines.get(entry.mailbox);
      if (line) this.#take(line, entry, aged);
      through = entry.seq;
    }
    return through === undefined ? undefined : { aged, through };
  }

  /** The commit is durable. */
  keep(): void {
    this.#added.length = 0;
    this.#taken.length = 0;
    for (const line of this.#touched) this.#trim(line);
    this.#touched.clear();
    const order = this.#order;
    while (this.#orderStart < order.length && order[this.#orderStart]?.isListed === false) {
      this.#orderStart++;
    }
    if (this.#orderStart > 1_024 && this.#orderStart * 2 > order.length) {
      this.#order = order.slice(this.#orderStart);
      this.#orderStart = 0;
    }
  }

  /** The commit failed: as if nothing had happened. */
  rollBack(): void {
    for (const entry of this.#taken) {
      entry.isListed = true;
      this.#resize(entry.mailbox, 1);
    }
    for (const entry of this.#added) {
      this.#lines.get(entry.mailbox)?.entries.pop();
      this.#resize(entry.mailbox, -1);
    }
    this.#order.length -= this.#added.length;
    this.#added.length = 0;
    this.#taken.length = 0;
    this.#touched.clear();
  }

  #take(line: Line, entry: YoungEnvelope, into: YoungEnvelope[]): void {
    entry.isListed = false;
    line.count--;
    this.#count--;
    this.#taken.push(entry);
    this.#touched.add(line);
    into.push(entry);
  }

  #resize(mailbox: MailboxNo, by: number): void {
    const line = this.#lines.get(mailbox);
    if (line) line.count += by;
    this.#count += by;
  }

  #trim(line: Line): void {
    const { entries } = line;
    const mailbox = entries[line.start]?.mailbox;
    while (line.start < entries.length && entries[line.start]?.isListed === false) line.start++;
    if (line.start === entries.length) {
      if (mailbox !== undefined) this.#lines.delete(mailbox);
    } else if (line.start > 64 && line.start * 2 > entries.length) {
      line.entries = entries.slice(line.start);
      line.start = 0;
    }
  }
}

/** Index of the first entry from `start` with a number above `seq`. */
function firstAbove(entries: readonly YoungEnvelope[], start: number, seq: number): number {
  let low = start;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.seq ?? 0) > seq) high = middle;
    else low = middle + 1;
  }
  return low;
}

const NOTHING: readonly YoungEnvelope[] = [];

/** How long an envelope is young, in milliseconds. Lower: more index entries. Higher: a longer start. */
const YOUNG_MS = 60_000;

/** Young envelopes in all, about 100 bytes each. Higher: memory, and a longer start after a crash. */
const YOUNG_MAX = 200_000;
