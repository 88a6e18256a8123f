/**
 * sessions/conversation-*.json: every recorded step is repeated with the randomness of the recorded party,
 * through `Operations`; messages, plaintexts, errors, records and what was taken from the store must agree.
 */
import { samePublicBytes, toHex, type Bytes } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { DuplicateMessageError, QasidError } from '#src/errors.js';
import { MemoryStore } from '#src/memory-store.js';
import { Operations } from '#src/operations.js';
import {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  type PreKeyBundle,
} from '#src/prekeys.js';
import type { Transition } from '#src/secret.js';
import { decryptMessage, decryptPreKeyMessage, encryptMessage } from '#src/session.js';
import {
  decodeSessionRecord,
  EMPTY_RECORD,
  encodeSessionRecord,
  type SessionRecord,
} from '#src/session-record.js';
import { initiateSession, type AcceptInput, type Ends } from '#src/session-start.js';
import { decodeSpqrState, encodeSpqrState } from '#src/spqr/index.js';
import type { ProtocolStore, StoreChanges } from '#src/stores.js';
import { toAddress, type Address } from '#src/types.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
  encodePreKeySignalMessage,
  encodeSignalMessage,
  encodeSignalMessageBody,
} from '#src/wire/messages.js';
import { base64, type Result } from '../../support/hex.js';
import {
  currentOf,
  expectedCode,
  identityOf,
  replaying,
  replayingSetup,
  type Conversation,
  type RecordedParty,
  type RecordedStep,
} from '../../support/recorded.js';

export const files = ['sessions/conversation-*.json'];

/** Recorded store calls that have a counterpart here, by the name of ours. */
const CALLS: Readonly<Record<string, string>> = {
  getSession: 'getSession',
  getSignedPreKey: 'getSignedPreKey',
  getKyberPreKey: 'getKyberPreKey',
  getPreKey: 'getPreKey',
  markKyberPreKeyUsed: 'markKyberPreKeyUsed',
  removePreKey: 'removePreKey',
  saveSession: 'saveSession',
};

function addressOf(party: RecordedParty): Address {
  return toAddress(party.name, party.deviceId);
}

/** Text of bytes in a detail; records are long, so only where they part. */
function difference(actual: Uint8Array | undefined, expected: Uint8Array): string | undefined {
  if (actual === undefined) return 'nothing';
  if (samePublicBytes(actual, expected)) return undefined;
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at++;
  const from = Math.max(0, at - 8);
  return `${actual.length} bytes, expected ${expected.length}; from ${from}: ${toHex(actual.subarray(from, at + 24))} != ${toHex(expected.subarray(from, at + 24))}`;
}

function compare(name: string, actual: Uint8Array | undefined, expected: Uint8Array): Result {
  const detail = difference(actual, expected);
  return { name, ok: detail === undefined, detail };
}

/** The store of one step: the recorded record before it, the party's prekeys, and a log of calls. */
class StepStore implements ProtocolStore<string> {
  readonly calls: string[] = [];
  written: Bytes | undefined;
  readonly #inner: MemoryStore<string>;
  readonly #record: Uint8Array | undefined;

  constructor(inner: MemoryStore<string>, record: Uint8Array | undefined) {
    this.#inner = inner;
    this.#record = record;
  }

  loadIdentityKeyPair() {
    return this.#inner.loadIdentityKeyPair();
  }
  loadLocalRegistrationId() {
    return this.#inner.loadLocalRegistrationId();
  }
  loadIdentity(name: string) {
    return this.#inner.loadIdentity(name);
  }
  async loadSession() {
    this.calls.push('getSession');
    return this.#record && { record: this.#record.slice(), version: 1 };
  }
  loadPreKey(id: number) {
    this.calls.push('getPreKey');
    return this.#inner.loadPreKey(id);
  }
  loadSignedPreKey(id: number) {
    this.calls.push('getSignedPreKey');
    return this.#inner.loadSignedPreKey(id);
  }
  loadKemPreKey(id: number) {
    this.calls.push('getKyberPreKey');
    return this.#inner.loadKemPreKey(id);
  }
  async commit(changes: StoreChanges<string>) {
    const { sessions, ...others } = changes;
    await this.#inner.commit(others);
    if (changes.usedKemPreKeys !== undefined) this.calls.push('markKyberPreKeyUsed');
    if (changes.removedPreKeys !== undefined) this.calls.push('removePreKey');
    if (sessions !== undefined) this.calls.push('saveSession');
    this.written = sessions?.[0]?.record?.slice();
  }
}

interface Actor {
  readonly party: RecordedParty;
  readonly inner: MemoryStore<string>;
  /** Record before the next step; `unknown` after a step whose record was not kept. */
  record: Uint8Array | undefined | 'unknown';
}

async function makeActor(party: RecordedParty): Promise<Actor> {
  const inner = new MemoryStore<string>({
    identity: identityOf(party),
    registrationId: party.registrationId,
  });
  const records = (list: readonly { id: number; record: string }[]) =>
    list.map(({ id, record }) => ({ id, record: base64(record) }));
  await inner.commit({
    preKeys: records(party.preKeyRecords),
    signedPreKeys: records(party.signedPreKeyRecords),
    kemPreKeys: records(party.kyberPreKeyRecords).map((row) => ({ ...row, kind: 'last-resort' })),
  });
  return { party, inner, record: undefined };
}

function theirKeys(party: RecordedParty, step: RecordedStep) {
  const record = (list: readonly { id: number; record: string }[], id: number | null | undefined) =>
    base64(list.find((row) => row.id === id)?.record ?? '');
  const signed = decodeSignedPreKeyRecord(record(party.signedPreKeyRecords, step.signedPreKeyId));
  const kem = decodeKemPreKeyRecord(record(party.kyberPreKeyRecords, step.kyberPreKeyId));
  const preKey =
    step.preKeyId === null || step.preKeyId === undefined
      ? undefined
      : decodePreKeyRecord(record(party.preKeyRecords, step.preKeyId));
  const identity = identityOf(party);
  const bundle: PreKeyBundle = {
    registrationId: party.registrationId,
    deviceId: party.deviceId,
    identityKey: identity.public,
    preKey: preKey && { id: preKey.id, public: preKey.keyPair.public },
    signedPreKey: { id: signed.id, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id: kem.id, public: kem.keyPair.public, signature: kem.signature },
  };
  const secrets = {
    identity,
    signedPreKey: signed.keyPair,
    preKey: preKey?.keyPair,
    kemSecret: kem.keyPair.secret,
    kemPublic: kem.keyPair.public,
  };
  return { bundle, secrets };
}

export async function* check(json: unknown, crypto: CryptoProvider): AsyncIterable<Result> {
  const { parties, steps } = json as Conversation;
  const actors = new Map<string, Actor>();
  for (const [name, party] of Object.entries(parties)) actors.set(name, await makeActor(party));
  const messages = new Map<number, { type: 2 | 3; bytes: Uint8Array }>();
  const actorOf = (name: string): Actor => {
    const actor = actors.get(name);
    if (actor === undefined) throw new Error(`no party ${name}`);
    return actor;
  };
  const peerOf = (name: string): Actor => {
    const other = [...actors.keys()].find((key) => key !== name);
    return actorOf(other ?? name);
  };

  for (const [index, step] of steps.entries()) {
    const name = `step ${index} ${step.op} by ${step.by}`;
    const actor = actorOf(step.by);
    const before = actor.record;
    const after = step.recordAfter === undefined ? 'unknown' : decodeOptional(step.recordAfter);
    if (step.op === 'encrypt' && step.bytes !== undefined && step.message !== undefined) {
      const bytes = base64(step.bytes);
      messages.set(step.message, { type: step.type ?? 2, bytes });
      yield reencoded(`${name}: message re-encoded`, step.type ?? 2, bytes);
    }
    if (after !== 'unknown' && after !== undefined) yield* checkRecord(name, after);
    if (before !== 'unknown') {
      if (step.op === 'setup') {
        yield* checkSetup(name, crypto, step, actor, actorOf(step.bundleOf ?? ''), after);
      } else if (step.op === 'encrypt') {
        yield* checkEncrypt(name, crypto, step, actor, peerOf(step.by), after);
      } else {
        const recorded = messages.get(step.message ?? -1);
        // A step may carry bytes of its own: a message that was changed on its way.
        const sent = step.bytes === undefined ? recorded?.bytes : base64(step.bytes);
        if (sent === undefined) throw new Error(`${name}: no message`);
        const type = step.type ?? recorded?.type ?? 2;
        yield* checkDecrypt(name, crypto, step, actor, peerOf(step.by), type, sent, after);
      }
    }
    actor.record = after;
  }
  yield* checkShadow(json as Conversation, crypto);
}

/**
 * The same schedule with randomness of our own: nothing is compared with the recording but who can open
 * what, and which answer a message gets that cannot be opened. Reaches what lies between sparse records.
 */
function* checkShadow(conversation: Conversation, crypto: CryptoProvider): Iterable<Result> {
  const { parties, steps } = conversation;
  const names = Object.keys(parties);
  const records = new Map(names.map((name) => [name, EMPTY_RECORD]));
  const partyOf = (name: string): RecordedParty => {
    const party = parties[name];
    if (party === undefined) throw new Error(`no party ${name}`);
    return party;
  };
  const sent = new Map<number, { type: 2 | 3; bytes: Uint8Array; setup: RecordedStep }>();
  const setups = new Map<string, RecordedStep>();
  for (const [index, step] of steps.entries()) {
    const name = `shadow step ${index} ${step.op} by ${step.by}`;
    const peer = names.find((other) => other !== step.by) ?? step.by;
    const ends = { local: addressOf(partyOf(step.by)), remote: addressOf(partyOf(peer)) };
    const record = records.get(step.by) ?? EMPTY_RECORD;
    const ours = {
      identity: identityOf(partyOf(step.by)),
      localRegistrationId: partyOf(step.by).registrationId,
    };
    const nowMs = step.nowMs ?? 0;
    if (step.op === 'setup') {
      setups.set(step.by, step);
      const { bundle } = theirKeys(partyOf(peer), step);
      const started = initiateSession(crypto, record, { ...ends, ...ours, bundle, nowMs });
      records.set(step.by, started.state);
    } else if (step.op === 'encrypt') {
      const plaintext = base64(step.plaintext ?? '');
      const made = encryptMessage(crypto, record, { ...ends, plaintext, nowMs });
      records.set(step.by, made.state);
      const setup = setups.get(step.by) ?? step;
      sent.set(step.message ?? -1, { ...made.output, setup });
      yield { name: `${name}: type`, ok: made.output.type === step.type };
    } else if (step.bytes === undefined) {
      const message = sent.get(step.message ?? -1);
      if (message === undefined) throw new Error(`${name}: no message`);
      try {
        const { state, output } = openAny(crypto, record, ends, message, () => {
          const { secrets } = theirKeys(partyOf(step.by), message.setup);
          const { identity, signedPreKey, preKey } = secrets;
          const kemPreKey = { secret: secrets.kemSecret, public: secrets.kemPublic };
          return { ...ours, identity, signedPreKey, preKey, kemPreKey };
        });
        records.set(step.by, state);
        yield step.error === undefined
          ? compare(`${name}: plaintext`, output, base64(step.plaintext ?? ''))
          : { name, ok: false, detail: `accepted, not ${step.error.message}` };
      } catch (error) {
        if (!(error instanceof QasidError)) throw error;
        const ok = error.code === expectedCode(step.error?.message ?? 'no error');
        yield { name: `${name}: error`, ok, detail: error.code };
      }
    }
  }
}

function openAny(
  crypto: CryptoProvider,
  record: SessionRecord,
  ends: Ends,
  sent: { type: 2 | 3; bytes: Uint8Array },
  accept: () => AcceptInput,
): Transition<SessionRecord, Bytes> {
  if (sent.type === 2) {
    return decryptMessage(crypto, record, { ...ends, message: decodeSignalMessage(sent.bytes) });
  }
  const message = decodePreKeySignalMessage(sent.bytes);
  return decryptPreKeyMessage(crypto, record, { ...ends, message, accept: accept() });
}

function decodeOptional(text: string | null): Uint8Array | undefined {
  return text === null ? undefined : base64(text);
}

function* checkRecord(name: string, record: Uint8Array): Iterable<Result> {
  yield compare(
    `${name}: record re-encoded`,
    encodeSessionRecord(decodeSessionRecord(record)),
    record,
  );
  const spqr = currentOf(record).spqr;
  yield compare(`${name}: SPQR state re-encoded`, encodeSpqrState(decodeSpqrState(spqr)), spqr);
}

function reencoded(name: string, type: 2 | 3, bytes: Uint8Array): Result {
  if (type === 2) {
    const message = decodeSignalMessage(bytes);
    const { mac } = message;
    return compare(
      name,
      encodeSignalMessage({ authenticated: encodeSignalMessageBody(message), mac }),
      bytes,
    );
  }
  return compare(name, encodePreKeySignalMessage(decodePreKeySignalMessage(bytes)), bytes);
}

function* checkSetup(
  name: string,
  crypto: CryptoProvider,
  step: RecordedStep,
  actor: Actor,
  peer: Actor,
  after: Uint8Array | undefined | 'unknown',
): Iterable<Result> {
  if (after === 'unknown' || after === undefined) return;
  const { bundle, secrets } = theirKeys(peer.party, step);
  const before =
    actor.record instanceof Uint8Array ? decodeSessionRecord(actor.record) : EMPTY_RECORD;
  const { state } = initiateSession(replayingSetup(crypto, after, secrets), before, {
    local: addressOf(actor.party),
    remote: addressOf(peer.party),
    identity: identityOf(actor.party),
    localRegistrationId: actor.party.registrationId,
    bundle,
    nowMs: step.nowMs ?? 0,
  });
  yield compare(`${name}: record`, encodeSessionRecord(state), after);
}

async function* checkEncrypt(
  name: string,
  crypto: CryptoProvider,
  step: RecordedStep,
  actor: Actor,
  peer: Actor,
  after: Uint8Array | undefined | 'unknown',
): AsyncIterable<Result> {
  const record = actor.record instanceof Uint8Array ? actor.record : undefined;
  const store = new StepStore(actor.inner, record);
  const exact = after instanceof Uint8Array;
  const operations = new Operations<string>({
    crypto: exact ? replaying(crypto, after) : crypto,
    store,
    local: addressOf(actor.party),
  });
  const plaintext = base64(step.plaintext ?? '');
  const remote = addressOf(peer.party);
  const [message] = await operations.encrypt([{ remote, plaintext }], step.nowMs ?? 0);
  yield { name: `${name}: type`, ok: message?.type === step.type };
  yield callsAgree(name, store.calls, step);
  if (!exact) return;
  yield compare(`${name}: message`, message?.bytes, base64(step.bytes ?? ''));
  yield compare(`${name}: record`, store.written, after);
}

async function* checkDecrypt(
  name: string,
  crypto: CryptoProvider,
  step: RecordedStep,
  actor: Actor,
  peer: Actor,
  type: 2 | 3,
  bytes: Uint8Array,
  after: Uint8Array | undefined | 'unknown',
): AsyncIterable<Result> {
  const record = actor.record instanceof Uint8Array ? actor.record : undefined;
  const store = new StepStore(actor.inner, record);
  const exact = after instanceof Uint8Array;
  const operations = new Operations<string>({
    crypto: exact && step.error === undefined ? replaying(crypto, after) : crypto,
    store,
    local: addressOf(actor.party),
  });
  const remote = addressOf(peer.party);
  try {
    const opened = await operations.decrypt(remote, type, bytes, step.nowMs ?? 0);
    if (step.error !== undefined) {
      yield { name: `${name}: error`, ok: false, detail: `accepted, not ${step.error.message}` };
      return;
    }
    yield compare(`${name}: plaintext`, opened.plaintext, base64(step.plaintext ?? ''));
  } catch (error) {
    if (!(error instanceof QasidError)) throw error;
    const expected = step.error?.message ?? '';
    const text = error instanceof DuplicateMessageError ? error.message === expected : true;
    const ok = step.error !== undefined && error.code === expectedCode(expected) && text;
    yield { name: `${name}: error`, ok, detail: `${error.code} ${error.message}; not ${expected}` };
    yield { name: `${name}: nothing stored`, ok: store.written === undefined };
    yield callsAgree(name, store.calls, step);
    return;
  }
  yield callsAgree(name, store.calls, step);
  if (exact) yield compare(`${name}: record`, store.written, after);
}

/** The same kinds of calls in the same order; a one-commit store writes the session first or last alike. */
function callsAgree(name: string, calls: readonly string[], step: RecordedStep): Result {
  if (step.storeCalls === undefined) return { name: `${name}: no calls recorded`, ok: true };
  const recorded = step.storeCalls.filter((call) => CALLS[call] !== undefined);
  // A failed operation asks once more whether another writer was faster.
  const ours = step.error === undefined ? calls : [...new Set(calls)];
  const ok = ours.join() === recorded.join();
  return { name: `${name}: store calls`, ok, detail: `${ours.join()} != ${recorded.join()}` };
}
