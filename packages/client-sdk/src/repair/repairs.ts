/**
 * 15 Content §10. Repair without anybody's doing: ask for what could not be opened, and send again what others
 * could not open.
 *
 * At most one request to a device, and one new session for a device, in an hour (ATK-C06). A request is
 * delayed, gathers what fails meanwhile, and says nothing of the cause (ATK-C14). What comes again comes with a
 * handshake like any other: a post-quantum one.
 */
import {
  addressText,
  concatBytes,
  copyBytes,
  fromHex,
  ProtoWriter,
  samePublicBytes,
  toAddress,
  toHex,
  type Bytes,
  type CryptoProvider,
  type Operations,
  type PublicKey,
} from '@qasid/protocol';

import type { Clock, Timer } from '../clock.js';
import { Fields } from '../content/fields.js';
import type { SealedPost } from '../sealed/post.js';
import type {
  ClientExtra,
  ClientStore,
  OutboxPart,
  OutboxRow,
  RecordChange,
} from '../stores/port.js';
import { SPACE } from '../timeline/batch.js';
import { findSent, forgetSent } from './sent-log.js';
import {
  againId,
  decodeRepairRequest,
  encodeRepairRequest,
  FAILED_MAX,
  ratchetKeyOf,
} from './wire.js';

/** Least time between two requests to one device, and between two new sessions for one. */
export const REPAIR_INTERVAL_MS: number = 60 * 60_000;

/** How long failures are gathered, at least, and what is added at random. */
const GATHER_MS = 2_000;
const GATHER_JITTER_MS = 4_000;

/** A request that is so old should have helped: what still fails is told. */
const HELPED_MS = 60_000;

/** What was asked for, and is kept until it comes. */
const EXPECTED_MAX = 256;

/** A device whose messages cannot be opened although repair was asked for. */
export interface RepairStuck {
  readonly account: string;
  readonly device: number;
  /** Messages that could not be opened since the last request. */
  readonly failures: number;
}

/** A message that could not be opened came again. */
export interface Recovered {
  readonly account: string;
  readonly device: number;
  /** `seq` of the `undecryptable` event it answers. */
  readonly seq: number;
}

/** What repair needs. */
export interface RepairsOptions {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
  readonly operations: Pick<Operations<ClientExtra>, 'sessionInfo' | 'archiveSession'>;
  readonly post: Pick<SealedPost, 'sealOne'>;
  readonly self: { readonly account: string; readonly device: number };
  onStuck(stuck: RepairStuck): void;
  onRecovered(recovered: Recovered): void;
  onTrouble(error: unknown): void;
}

/** Where repair with one device stands. */
interface RepairState {
  /** 0: never. This device's clock. */
  readonly askedAtMs: number;
  /** We made a new session for it. */
  readonly renewedAtMs: number;
  readonly ratchetKey: Bytes | undefined;
  /** Failed since the last request. */
  readonly failed: readonly Bytes[];
  readonly nonce: Bytes | undefined;
  /** Asked for and not come yet. */
  readonly expected: readonly Bytes[];
}

const NOTHING: RepairState = {
  askedAtMs: 0,
  renewedAtMs: 0,
  ratchetKey: undefined,
  failed: [],
  nonce: undefined,
  expected: [],
};

/** Asks and answers. Only the owner of the connection runs one. */
export class Repairs {
  readonly #options: RepairsOptions;
  readonly #timers = new Map<string, Timer>();
  /** Devices that owe us something, by the client ids under which it comes. Read from the store once. */
  #expected: Map<string, { readonly key: string; readonly failed: Bytes }> | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: RepairsOptions) {
    this.#options = options;
  }

  /** The connection opens: go on with what was begun, forget what is too old. */
  async resume(): Promise<void> {
    const { store, clock } = this.#options;
    await forgetSent(store, clock.now());
    for (const { key, value } of await store.loadRecords(SPACE.repair)) {
      if (decodeState(value).failed.length > 0) this.#schedule(key);
    }
  }

  /** What is committed with the failure of an envelope of a device that its account lists. */
  async failed(
    from: { readonly account: string; readonly device: number },
    clientId: Bytes,
    type: number,
    message: Uint8Array,
  ): Promise<ClientExtra> {
    const key = keyOf(from);
    const { state, version } = await this.#load(key);
    const ratchetKey = ratchetKeyOf(message, type) ?? state.ratchetKey;
    const failed = [...state.failed, clientId].slice(-FAILED_MAX);
    const sinceMs = this.#since(state.askedAtMs);
    if (sinceMs > HELPED_MS && sinceMs < REPAIR_INTERVAL_MS) {
      this.#options.onStuck({ ...from, failures: failed.length });
    }
    this.#schedule(key);
    return { records: [change(key, { ...state, failed, ratchetKey }, version)] };
  }

  /**
   * A device could not open something of ours: make its session new if it names the current one, and send again
   * what we still have. What is committed with its request.
   */
  async requested(
    from: { readonly account: string; readonly device: number },
    plaintext: Uint8Array,
  ): Promise<ClientExtra> {
    const { store, crypto, operations, self, clock } = this.#options;
    const request = decodeRepairRequest(plaintext);
    if (request.deviceId !== self.device) return {};
    const key = keyOf(from);
    const { state, version } = await this.#load(key);
    const remote = toAddress(from.account, from.device);
    const session = await operations.sessionInfo(remote);
    const names = (one: PublicKey): boolean =>
      session?.ratchetKey !== undefined && samePublicBytes(one, session.ratchetKey);
    // ATK-C06: whoever asks again within the hour gets no other session, and each message but once.
    const isDue = this.#since(state.renewedAtMs) >= REPAIR_INTERVAL_MS;
    const renews = isDue && request.ratchetKey !== undefined && names(request.ratchetKey);
    if (renews) await operations.archiveSession(remote);
    const contact = await store.loadContact(from.account);
    const sent = await findSent({ store, crypto }, self.account, from, request.failed);
    const outboxAdded: Omit<OutboxRow, 'id'>[] = [];
    const records: RecordChange[] = [];
    for (const id of request.failed) {
      const one = sent.get(toHex(id));
      if (one === undefined) continue;
      records.push(one.record);
      const again = againId(crypto, request.nonce, id);
      outboxAdded.push({
        kind: 'resend',
        messageId: toHex(concatBytes(new Uint8Array([from.device]), again)),
        account: from.account,
        username: contact?.username,
        content: one.content,
        parts: undefined,
        held: false,
        copied: true,
      });
    }
    if (renews) records.push(change(key, { ...state, renewedAtMs: clock.now() }, version));
    return { records, outboxAdded };
  }

  /** What is committed with an envelope that was opened, and told after that. */
  async opened(
    from: { readonly account: string; readonly device: number },
    clientId: Bytes,
  ): Promise<{ readonly extra: ClientExtra; readonly recovered: Recovered } | undefined> {
    const { store } = this.#options;
    this.#expected ??= await this.#loadExpected();
    const owed = this.#expected.get(toHex(clientId));
    if (owed === undefined || owed.key !== keyOf(from)) return undefined;
    const { state, version } = await this.#load(owed.key);
    const row = await store.loadMessage(from.account, from.account, toHex(owed.failed));
    const expected = state.expected.filter((id) => !samePublicBytes(id, owed.failed));
    const extra = { records: [change(owed.key, { ...state, expected }, version)] };
    const removed = row?.kind === 'undecryptable' ? { messagesRemoved: [row.seq] } : {};
    return { extra: { ...extra, ...removed }, recovered: { ...from, seq: row?.seq ?? 0 } };
  }

  /** It is stored. */
  recovered(clientId: Bytes, recovered: Recovered): void {
    this.#expected?.delete(toHex(clientId));
    this.#options.onRecovered(recovered);
  }

  /** Ask for nothing more; what failed stays in the store. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    await this.#running;
  }

  #schedule(key: string): void {
    if (this.#stopped || this.#timers.has(key)) return;
    const { clock, dice } = this.#options;
    const wait = GATHER_MS + Math.floor(dice() * GATHER_JITTER_MS);
    const ask = (): void => {
      this.#timers.delete(key);
      this.#running = this.#running
        .then(() => this.#ask(key))
        .catch((error: unknown) => {
          if (!this.#stopped) this.#options.onTrouble(error);
        });
    };
    this.#timers.set(key, clock.after(wait, ask));
  }

  /** Put the request into the outbox, or wait for the hour to pass. */
  async #ask(key: string): Promise<void> {
    const { store, crypto, clock, post } = this.#options;
    if (this.#stopped) return;
    const { state, version } = await this.#load(key);
    if (state.failed.length === 0) return;
    const rest = REPAIR_INTERVAL_MS - this.#since(state.askedAtMs);
    if (rest > 0) {
      const again = (): void => {
        this.#timers.delete(key);
        this.#schedule(key);
      };
      if (!this.#timers.has(key)) this.#timers.set(key, clock.after(rest, again));
      return;
    }
    const [account = '', device = '0'] = key.split('.');
    const contact = await store.loadContact(account);
    const identityKey = await store.loadIdentity(account);
    if (contact === undefined || identityKey === undefined) return;
    const nonce = crypto.randomBytes(16);
    const request = encodeRepairRequest({
      ratchetKey: state.ratchetKey as PublicKey | undefined,
      deviceId: Number(device),
      failed: state.failed,
      nonce,
    });
    const parts: OutboxPart[] = [];
    // To all devices of the account, as everything; those it is not about do nothing.
    for (const listed of contact.devices) {
      if (account === this.#options.self.account && listed.device === this.#options.self.device)
        continue;
      const body = await post.sealOne(identityKey, 8, request);
      const { device: id, registrationId } = listed;
      parts.push({ device: id, registrationId, clientId: crypto.randomBytes(16), body });
    }
    const expected = state.failed.slice(-EXPECTED_MAX);
    const next: RepairState = {
      ...state,
      askedAtMs: clock.now(),
      ratchetKey: undefined,
      failed: [],
      nonce,
      expected,
    };
    const row = {
      kind: 'repair' as const,
      messageId: '',
      account,
      username: contact.username,
      content: new Uint8Array(0),
      parts,
      held: false,
      copied: true,
    };
    await store.commit({
      extra: { records: [change(key, next, version)], outboxAdded: [row] },
    });
    this.#expected = undefined;
  }

  async #loadExpected(): Promise<Map<string, { readonly key: string; readonly failed: Bytes }>> {
    const { store, crypto } = this.#options;
    const owed = new Map<string, { readonly key: string; readonly failed: Bytes }>();
    for (const { key, value } of await store.loadRecords(SPACE.repair)) {
      const { nonce, expected } = decodeState(value);
      if (nonce === undefined) continue;
      for (const failed of expected)
        owed.set(toHex(againId(crypto, nonce, failed)), { key, failed });
    }
    return owed;
  }

  /** Milliseconds since a time of this clock; for ever when it is in the future or was never. */
  #since(atMs: number): number {
    const since = this.#options.clock.now() - atMs;
    return atMs === 0 || since < 0 ? Number.POSITIVE_INFINITY : since;
  }

  async #load(key: string): Promise<{ readonly state: RepairState; readonly version: number }> {
    const row = await this.#options.store.loadRecord(SPACE.repair, key);
    return {
      state: row === undefined ? NOTHING : decodeState(row.value),
      version: row?.version ?? 0,
    };
  }
}

/** The client ids that a row of kind `resend` is to have. */
export function chosenIds(row: OutboxRow): ReadonlyMap<number, Bytes> | undefined {
  if (row.kind !== 'resend') return undefined;
  const bytes = fromHex(row.messageId);
  const [device] = bytes ?? [];
  return bytes === undefined || device === undefined
    ? undefined
    : new Map([[device, bytes.slice(1)]]);
}

function keyOf({ account, device }: { readonly account: string; readonly device: number }): string {
  return addressText(toAddress(account, device));
}

function change(key: string, state: RepairState, expectedVersion: number): RecordChange {
  return { space: SPACE.repair, key, value: encodeState(state), expectedVersion };
}

function encodeState(state: RepairState): Bytes {
  const writer = new ProtoWriter(256).uint64(1, state.askedAtMs).uint64(2, state.renewedAtMs);
  if (state.ratchetKey !== undefined) writer.bytes(3, state.ratchetKey);
  for (const id of state.failed) writer.bytes(4, id);
  if (state.nonce !== undefined) writer.bytes(5, state.nonce);
  for (const id of state.expected) writer.bytes(6, id);
  return writer.finish();
}

function decodeState(encoded: Uint8Array): RepairState {
  const types = {
    1: 'number',
    2: 'number',
    3: 'bytes',
    4: 'bytes',
    5: 'bytes',
    6: 'bytes',
  } as const;
  const fields = new Fields(encoded, types, { 4: FAILED_MAX, 6: EXPECTED_MAX });
  return {
    askedAtMs: fields.number(1, Number.MAX_SAFE_INTEGER),
    renewedAtMs: fields.number(2, Number.MAX_SAFE_INTEGER),
    ratchetKey: fields.optionalBytes(3, 33),
    failed: fields.views(4).map((id) => copyBytes(id)),
    nonce: fields.optionalBytes(5, 16),
    expected: fields.views(6).map((id) => copyBytes(id)),
  };
}
