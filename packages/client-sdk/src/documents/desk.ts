/**
 * Questions about blobs: tickets, and what is to be kept or deleted.
 *
 * Only the process that is connected can ask the relay. The others leave their question in the store, and the
 * connected one leaves the answer. Deletions always go that way, so that they survive a restart and an outage.
 */
import { ProtoWriter, StoreError, toHex, type Bytes, type CryptoProvider } from '@qasid/protocol';
import {
  decodeBlobRequest,
  encodeBlobRequest,
  isRetryable,
  type BlobCreateRequest,
  type BlobRequest,
  type RelayCode,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';

import type { Clock, Timer } from '../clock.js';
import { Fields } from '../content/fields.js';
import { NetworkError } from '../errors.js';
import type { History } from '../history.js';
import type { ClientStore, RecordChange, RecordRow } from '../stores/port.js';
import { Batch, SPACE } from '../timeline/batch.js';
import { BLOB_ID_BYTES, CAPABILITY_BYTES } from './limits.js';

/** How long to wait for the connected process to answer. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Questions and answers that are older are of processes that have ended. */
const OLD_AFTER_MS = 10 * 60_000;

/** How often at most to look for questions of others. */
const LOOK_AFTER_MS = 100;

/** How soon to try again what the relay would not do now. */
const AGAIN_AFTER_MS = 5_000;

/** What the relay says about a blob. */
export interface BlobAnswer {
  readonly code: RelayCode;
  readonly id: Bytes | undefined;
  readonly ticket: Bytes | undefined;
}

/** What the desk needs. */
export interface DeskOptions {
  readonly store: ClientStore;
  readonly clock: Clock;
  readonly crypto: Pick<CryptoProvider, 'randomBytes'>;
  readonly history: Pick<History, 'until'>;
  /** Whether this process holds the connection of its store. */
  isOwner(): boolean;
  /** Ask the relay. @throws NetworkError */
  ask(op: RequestOp): Promise<ResponseItem>;
  onTrouble(error: unknown): void;
}

/** Asks, for this process and for others. */
export class Desk {
  readonly #options: DeskOptions;
  #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Answer others from now on. */
  start(): void {
    this.#unwatch ??= this.#options.store.watch(() => this.#soon(LOOK_AFTER_MS));
  }

  /** The connection is open: what waited may be done. */
  poke(): void {
    this.#soon(0);
  }

  /** Begin nothing more. */
  halt(): void {
    this.#stopped = true;
    this.#unwatch?.();
    this.#timer?.cancel();
  }

  /** Resolves when nothing is asked any more. */
  async stopped(): Promise<void> {
    await this.#running;
  }

  /**
   * Ask, through whichever process is connected.
   *
   * @throws NetworkError when the relay cannot be asked now, `NET_CLOSED`
   */
  async ask(op: BlobCreateRequest | BlobRequest): Promise<BlobAnswer> {
    if (this.#options.isOwner()) return answerOf(await this.#options.ask(op));
    const { store, crypto, clock, history } = this.#options;
    const key = `${clock.now()}-${toHex(crypto.randomBytes(16))}`;
    await commitRecord(store, SPACE.blobAsk, key, encodeBlobRequest(op));
    try {
      const answer = await history.until(async () => {
        const row = await store.loadRecord(SPACE.blobAnswer, key);
        if (row !== undefined) return decodeAnswer(row.value);
        // The one who was connected is gone: it is our turn.
        return this.#options.isOwner() ? null : undefined;
      }, ANSWER_TIMEOUT_MS);
      if (answer === null) return answerOf(await this.#options.ask(op));
      if (answer === undefined) throw new NetworkError('NET_TIMEOUT', 'no answer in time');
      return answer;
    } finally {
      if (!this.#stopped) {
        await commitRecord(store, SPACE.blobAsk, key, undefined);
        await commitRecord(store, SPACE.blobAnswer, key, undefined);
      }
    }
  }

  #soon(ms: number): void {
    if (this.#stopped || !this.#options.isOwner()) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    if (this.#timer !== undefined && ms > 0) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      this.#look();
    });
  }

  #look(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#again = false;
    this.#running = this.#work()
      .then(() => true)
      .catch((error: unknown) => {
        if (!(error instanceof NetworkError) && !this.#stopped) this.#options.onTrouble(error);
        return false;
      })
      .then((done) => {
        this.#running = undefined;
        if (!done) this.#soon(AGAIN_AFTER_MS);
        else if (this.#again) this.#soon(LOOK_AFTER_MS);
      });
  }

  async #work(): Promise<void> {
    const { store } = this.#options;
    for (const row of await store.loadRecords(SPACE.blobAsk)) await this.#answer(row);
    // Whoever asked is gone.
    for (const { key } of await store.loadRecords(SPACE.blobAnswer)) {
      if (this.#isOld(key)) await commitRecord(store, SPACE.blobAnswer, key, undefined);
    }
    for (const row of await store.loadRecords(SPACE.blobDrop)) await this.#drop(row);
  }

  #isOld(key: string): boolean {
    return Math.abs(this.#options.clock.now() - Number(key.split('-')[0])) > OLD_AFTER_MS;
  }

  async #answer({ key, value, version }: RecordRow): Promise<void> {
    if (this.#isOld(key)) return commitRecord(this.#options.store, SPACE.blobAsk, key, undefined);
    const answer = answerOf(await this.#options.ask(decodeBlobRequest(value)));
    await ignoringConflict(
      this.#options.store.commit({
        extra: {
          records: [
            { space: SPACE.blobAsk, key, value: undefined, expectedVersion: version },
            { space: SPACE.blobAnswer, key, value: encodeAnswer(answer), expectedVersion: 0 },
          ],
        },
      }),
    );
  }

  async #drop({ key, value, version }: RecordRow): Promise<void> {
    const { id, capability } = decodeDrop(value);
    const { code } = await this.#options.ask({
      kind: 'blob',
      action: 'delete',
      id,
      capability,
      days: 0,
    });
    // What is not there is deleted; what is refused will be refused again.
    if (isRetryable(code)) throw new NetworkError('NET_BUSY', `relay answers ${code}`);
    await ignoringConflict(
      this.#options.store.commit({
        extra: {
          records: [{ space: SPACE.blobDrop, key, value: undefined, expectedVersion: version }],
        },
      }),
    );
  }
}

/** What makes the desk delete a blob, for a commit. */
export function dropOf(id: Bytes, capability: Bytes): RecordChange {
  const value = new ProtoWriter().bytes(1, id).bytes(2, capability).finish();
  return { space: SPACE.blobDrop, key: toHex(id), value, expectedVersion: 0 };
}

function decodeDrop(value: Uint8Array): { readonly id: Bytes; readonly capability: Bytes } {
  const fields = new Fields(value, { 1: 'bytes', 2: 'bytes' });
  return { id: fields.bytes(1, BLOB_ID_BYTES), capability: fields.bytes(2, CAPABILITY_BYTES) };
}

function answerOf({ code, body }: ResponseItem): BlobAnswer {
  const known = body.kind === 'blobTicket' ? body : undefined;
  if (isRetryable(code)) throw new NetworkError('NET_BUSY', `relay answers ${code}`);
  return { code, id: known?.id, ticket: known?.ticket };
}

function encodeAnswer({ code, id, ticket }: BlobAnswer): Bytes {
  const writer = new ProtoWriter().text(1, code);
  if (id !== undefined) writer.bytes(2, id);
  if (ticket !== undefined) writer.bytes(3, ticket);
  return writer.finish();
}

function decodeAnswer(value: Uint8Array): BlobAnswer {
  const fields = new Fields(value, { 1: 'bytes', 2: 'bytes', 3: 'bytes' });
  return {
    // Written by a process of this profile; codes it may know more of are refusals here.
    code: fields.text(1, 64) as RelayCode,
    id: fields.optionalBytes(2, BLOB_ID_BYTES),
    ticket: fields.optionalBytes(3, 0, 4_096),
  };
}

async function commitRecord(
  store: ClientStore,
  space: string,
  key: string,
  value: Bytes | undefined,
): Promise<void> {
  const batch = new Batch(store);
  await batch.setRecord(space, key, value);
  const extra = batch.toExtra();
  if (extra.records !== undefined) await ignoringConflict(store.commit({ extra }));
}

/** Somebody else was first. */
async function ignoringConflict(committing: Promise<void>): Promise<void> {
  try {
    await committing;
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'STORE_CONFLICT')) throw error;
  }
}
