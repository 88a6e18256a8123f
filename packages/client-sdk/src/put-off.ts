/**
 * 15 Content §10. Envelopes that a limit of the protocol refuses for now: nothing was tried with them, and the same
 * bytes open later. They are kept, acknowledged, and tried again; so nobody who floods us makes a stranger's first
 * message get lost, nor holds up what comes after it. ATK-B15, ATK-C02.
 */
import { LimitError, ProtoWriter, StoreError, toHex, type Bytes } from '@qasid/protocol';

import type { Clock, Timer } from './clock.js';
import { Fields } from './content/fields.js';
import { NetworkError } from './errors.js';
import type { ClientExtra, ClientStore, RecordChange, RecordRow } from './stores/port.js';
import { SPACE } from './timeline/batch.js';

/** How often what is kept is tried. Lower: more looks during an attack. Higher: strangers wait longer. */
const RETRY_MS = 20_000;

/** How long a limit may go on refusing before the message counts as one that cannot be opened. */
export const PUT_OFF_MAX_MS: number = 60 * 60_000;

/** Envelopes kept of one account: as many as one repair brings, twice. Beyond it they fail, and repair asks. */
export const PUT_OFF_PER_ACCOUNT_MAX = 128;

/** Envelopes kept of all accounts. Lower: floods keep strangers out. Higher: they fill the store. */
export const PUT_OFF_MAX = 512;

const BODY_BYTES_MAX = 1_048_576;

/** An envelope that is kept. */
export interface PutOffEnvelope {
  readonly account: string;
  readonly clientId: Bytes;
  readonly body: Bytes;
  /** When it came, by this device's clock. */
  readonly atMs: number;
}

/** What keeping needs. */
export interface PutOffOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  /** Try again. @param done - Forgets it; committed with what becomes of it. */
  open(envelope: PutOffEnvelope, done: ClientExtra): Promise<void>;
  onTrouble(error: unknown): void;
}

/** Whether an error says that the same bytes may open later. */
export function isPutOff(error: unknown): boolean {
  return (
    error instanceof LimitError &&
    (error.code === 'LIMIT_HANDSHAKES' || error.code === 'LIMIT_FORWARD_JUMPS')
  );
}

/** Keeps and tries again. Only the owner of the connection runs one. */
export class PutOff {
  readonly #options: PutOffOptions;
  /** Accounts of what is kept, by key. Read from the store once, and whenever all was tried. */
  #kept: Map<string, string> | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: PutOffOptions) {
    this.#options = options;
  }

  /** The connection opens: go on with what was kept before. */
  async resume(): Promise<void> {
    if ((await this.#load()).size > 0) this.#schedule();
  }

  /**
   * Keep an envelope.
   *
   * @param id - Names it by what it holds.
   * @returns what to commit; `undefined` when there is no room.
   */
  async keep(id: Bytes, envelope: PutOffEnvelope): Promise<ClientExtra | undefined> {
    const key = toHex(id);
    const kept = await this.#load();
    const own = [...kept.values()].filter((account) => account === envelope.account).length;
    if (kept.size >= PUT_OFF_MAX || own >= PUT_OFF_PER_ACCOUNT_MAX) return undefined;
    kept.set(key, envelope.account);
    this.#schedule();
    return { records: [change(key, encode(envelope), 0)] };
  }

  /** Whether a limit has refused it for so long that it is not waited for any more. */
  isOver(sinceMs: number): boolean {
    const age = this.#options.clock.now() - sinceMs;
    // A clock that was moved must not keep it for ever.
    return age >= PUT_OFF_MAX_MS || age <= -PUT_OFF_MAX_MS;
  }

  /** Try no more; what is kept stays in the store. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined) return;
    this.#timer = this.#options.clock.after(RETRY_MS, () => {
      this.#timer = undefined;
      this.#running = this.#running
        .then(() => this.#tryAll())
        .catch((error: unknown) => {
          if (this.#stopped) return;
          // Without a connection a sender may not be looked up; what is new is not worth telling.
          if (!(error instanceof NetworkError)) this.#options.onTrouble(error);
          this.#schedule();
        });
    });
  }

  async #tryAll(): Promise<void> {
    for (const { key, value, version } of await this.#rows()) {
      if (this.#stopped) return;
      await this.#options.open(decode(value), { records: [change(key, undefined, version)] });
    }
    this.#kept = undefined;
    await this.resume();
  }

  async #load(): Promise<Map<string, string>> {
    if (this.#kept === undefined) {
      const rows = await this.#rows();
      this.#kept ??= new Map(rows.map(({ key, value }) => [key, decode(value).account]));
    }
    return this.#kept;
  }

  #rows(): Promise<readonly RecordRow[]> {
    return this.#options.store.loadRecords(SPACE.putOff);
  }
}

function change(key: string, value: Bytes | undefined, expectedVersion: number): RecordChange {
  return { space: SPACE.putOff, key, value, expectedVersion };
}

function encode({ account, clientId, body, atMs }: PutOffEnvelope): Bytes {
  return new ProtoWriter(body.length + 96)
    .text(1, account)
    .bytes(2, clientId)
    .bytes(3, body)
    .uint64(4, atMs)
    .finish();
}

/** @throws StoreError `STORE_CORRUPT` */
function decode(encoded: Uint8Array): PutOffEnvelope {
  try {
    const fields = new Fields(encoded, { 1: 'bytes', 2: 'bytes', 3: 'bytes', 4: 'number' });
    return {
      account: fields.text(1, 64),
      clientId: fields.bytes(2, 16),
      body: fields.bytes(3, 0, BODY_BYTES_MAX),
      atMs: fields.number(4, Number.MAX_SAFE_INTEGER),
    };
  } catch (cause) {
    throw new StoreError('STORE_CORRUPT', 'an envelope that was put off does not decode', {
      cause,
    });
  }
}
