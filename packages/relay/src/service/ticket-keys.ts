/**
 * 13 Relay §14. The keys of blob tickets: one in use, and the one before it. Changed once a day, so that a
 * key that leaked is worth a day; kept in a file, so that an upload goes on after a restart.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AccountId, type Bytes, copyBytes } from '@qasid/protocol/envelope';
import type { Clock } from '../clock.js';
import { unwritable } from '../data-directory.js';
import type { RelayCrypto } from '../crypto.js';
import {
  openTicket,
  sealTicket,
  type Ticket,
  type TicketAction,
  type TicketKey,
} from '../protocol/tickets.js';

/** The keys of a relay. @throws RelayError `RELAY_DATA_UNWRITABLE` or `RELAY_DISK_FULL` */
export function openTicketKeys(
  crypto: RelayCrypto,
  clock: Clock,
  directory: string | undefined,
): TicketKeys {
  try {
    return new TicketKeys(crypto, clock, directory);
  } catch (cause) {
    throw unwritable(cause);
  }
}

/** A key and when it was made. */
interface MadeKey {
  readonly madeMs: number;
  readonly secret: Uint8Array;
  readonly key: TicketKey;
}

/** Makes and checks tickets. */
export class TicketKeys {
  readonly #crypto: RelayCrypto;
  readonly #clock: Clock;
  readonly #file: string | undefined;
  /** Newest first, at most two. */
  #keys: readonly MadeKey[];
  /** For budgets only: never written down, so budgets of two runs have nothing in common. */
  readonly #budgetKey: Uint8Array;

  /**
   * @param directory - Of the relay; without one, keys end with the process.
   * @throws an error of the file system
   */
  constructor(crypto: RelayCrypto, clock: Clock, directory: string | undefined) {
    this.#crypto = crypto;
    this.#clock = clock;
    this.#file = directory === undefined ? undefined : join(directory, KEY_FILE);
    this.#budgetKey = crypto.randomBytes(32);
    this.#keys = this.#load();
    this.#rotate();
  }

  seal(ticket: Ticket): Bytes {
    return sealTicket(this.#rotate().key, ticket);
  }

  /** The ticket, if it is good for this; `undefined` for every reason it may not be. */
  open(bytes: Uint8Array, action: TicketAction, id?: Uint8Array): Ticket | undefined {
    this.#rotate();
    const nowSeconds = Math.floor(this.#clock.nowMs() / 1000);
    const wanted = { action, nowSeconds, ...(id && { id }) };
    const keys = this.#keys.map(({ key }) => key);
    return openTicket(keys, bytes, wanted, timingSafeEqual);
  }

  /** The budget of an account, 8 bytes. */
  budgetOf(account: AccountId): Bytes {
    const mac = createHmac('sha256', this.#budgetKey).update(account).digest();
    return copyBytes(mac.subarray(0, 8));
  }

  /** The key in use, after making a new one when it is old. */
  #rotate(): MadeKey {
    const [current] = this.#keys;
    const nowMs = this.#clock.nowMs();
    // A clock that was set back must not keep a key for ever.
    if (current && Math.abs(nowMs - current.madeMs) < KEY_MS) return current;
    const fresh = made(nowMs, this.#crypto.randomBytes(32));
    for (const old of this.#keys.slice(1)) old.secret.fill(0);
    this.#keys = current ? [fresh, current] : [fresh];
    this.#save();
    return fresh;
  }

  #load(): readonly MadeKey[] {
    if (this.#file === undefined) return [];
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    // Of any other length: not ours any more. Tickets given out are refused, clients fetch new ones.
    if (bytes.length === 0 || bytes.length % ENTRY_BYTES !== 0) return [];
    const keys: MadeKey[] = [];
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, ENTRY_BYTES);
      keys.push(made(view.getFloat64(0), copyBytes(bytes.subarray(at + 8, at + ENTRY_BYTES))));
    }
    bytes.fill(0);
    return keys.slice(0, 2);
  }

  #save(): void {
    if (this.#file === undefined) return;
    const bytes = new Uint8Array(this.#keys.length * ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    for (const [index, { madeMs, secret }] of this.#keys.entries()) {
      view.setFloat64(index * ENTRY_BYTES, madeMs);
      bytes.set(secret, index * ENTRY_BYTES + 8);
    }
    writeFileSync(`${this.#file}.new`, bytes, { mode: 0o600, flush: true });
    renameSync(`${this.#file}.new`, this.#file);
    bytes.fill(0);
  }
}

function made(madeMs: number, secret: Uint8Array): MadeKey {
  const id = createHash('sha256')
    .update('qasid/ticket-key/1')
    .update(secret)
    .digest()
    .subarray(0, 4);
  const mac = (message: Uint8Array): Uint8Array =>
    createHmac('sha256', secret).update(message).digest();
  return { madeMs, secret, key: { id, mac } };
}

const KEY_FILE = 'blob-tickets';
const KEY_MS = 24 * 60 * 60 * 1000;
const ENTRY_BYTES = 40;
