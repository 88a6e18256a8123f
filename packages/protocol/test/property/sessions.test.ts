// Laws of sessions under random schedules: a model predicts every answer, forgeries change no byte, opened
// messages stay closed to a thief, and a transition changes neither its input nor what it calls consumed.
import t from 'tap';
import fc from 'fast-check';
import { defaultCrypto as crypto, toHex, utf8, type EncryptedMessage } from '@qasid/protocol';
import { copyBytes, type Bytes } from '#src/bytes.js';
import { QasidError } from '#src/errors.js';
import { MAX_RECEIVER_CHAINS } from '#src/limits.js';
import type { Transition } from '#src/secret.js';
import {
  decodeSessionRecord,
  decryptMessage,
  decryptPreKeyMessage,
  EMPTY_RECORD,
  encodeSessionRecord,
  encryptMessage,
  initiateSession,
  StoredSpqr,
  type SessionRecord,
} from '#src/session.js';
import {
  decodePreKeyRecord,
  decodeKemPreKeyRecord,
  decodeSignedPreKeyRecord,
} from '#src/prekeys.js';
import { decodePreKeySignalMessage, decodeSignalMessage } from '#src/wire/messages.js';
import { introduce, outcome, send, storedHex, storedRecord } from '../support/conversation.js';
import { makeParty, NOW_MS, type Party } from '../support/party.js';
import { holdsAsync } from '../support/property.js';

/** What can happen: one side sends, or a message under way (or one that arrived before) is delivered. */
type Event =
  | { readonly kind: 'send'; readonly side: 0 | 1 }
  | { readonly kind: 'deliver'; readonly side: 0 | 1; readonly pick: number }
  | { readonly kind: 'forge'; readonly side: 0 | 1; readonly pick: number; readonly bit: number };

const side = fc.constantFrom<0 | 1>(0, 1);
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), side }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('deliver' as const), side, pick: fc.nat(1000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('forge' as const),
      side,
      pick: fc.nat(1000),
      bit: fc.nat(100_000),
    }),
  },
);

interface Sent {
  readonly text: string;
  readonly message: EncryptedMessage;
  readonly ratchetKey: string;
}

/** What a receiver must remember, and nothing of how it does. */
class Model {
  readonly #opened = new Set<string>();
  /** Ratchet keys it has met, oldest first. */
  readonly #chains: string[];

  constructor(chains: readonly string[]) {
    this.#chains = [...chains];
  }

  deliver({ text, ratchetKey }: Sent): string {
    const known = this.#chains.includes(ratchetKey);
    if (this.#opened.has(text)) return known ? 'STATE_DUPLICATE_MESSAGE' : 'VERIFY_DECRYPTION';
    if (!known) {
      if (this.#dropped.has(ratchetKey)) return 'VERIFY_DECRYPTION';
      this.#chains.push(ratchetKey);
      if (this.#chains.length > MAX_RECEIVER_CHAINS) this.#dropped.add(this.#chains.shift()!);
    }
    this.#opened.add(text);
    return text;
  }

  readonly #dropped = new Set<string>();
}

async function chainsOf(party: Party, peer: Party): Promise<string[]> {
  const { current } = await storedRecord(party, peer);
  return (current?.receivers ?? []).map((receiver) =>
    'theirRatchetKey' in receiver ? toHex(receiver.theirRatchetKey) : '',
  );
}

t.test('a model predicts every answer; ATK-C04 forged messages change no byte', async (t) => {
  await holdsAsync(
    t,
    fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 50 }), async (events) => {
      const parties = [makeParty(crypto), makeParty(crypto)] as const;
      await introduce(parties[0], parties[1]);
      const models = [
        new Model(await chainsOf(parties[0], parties[1])),
        new Model(await chainsOf(parties[1], parties[0])),
      ] as const;
      const sent: [Sent[], Sent[]] = [[], []];
      for (const [i, what] of events.entries()) {
        const me = parties[what.side];
        const peer = parties[what.side === 0 ? 1 : 0];
        if (what.kind === 'send') {
          const text = `${what.side} ${i}`;
          const message = await send(me, peer, text);
          const { ratchetKey } = decodeSignalMessage(message.bytes);
          sent[what.side].push({ text, message, ratchetKey: toHex(ratchetKey) });
          continue;
        }
        const queue = sent[what.side === 0 ? 1 : 0];
        const picked = queue[what.pick % Math.max(1, queue.length)];
        if (picked === undefined) continue;
        if (what.kind === 'deliver') {
          const expected = models[what.side].deliver(picked);
          const actual = await outcome(me, peer, picked.message);
          if (actual !== expected) throw new Error(`event ${i}: ${actual}, expected ${expected}`);
          continue;
        }
        const bytes = copyBytes(picked.message.bytes);
        const bit = what.bit % (bytes.length * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const before = await storedHex(me, peer);
        const answer = await outcome(me, peer, { ...picked.message, bytes });
        if (!/^(VERIFY_DECRYPTION|STATE_DUPLICATE_MESSAGE|DECODE_\w+)$/.test(answer)) {
          throw new Error(`event ${i}: forgery answered with ${answer}`);
        }
        if ((await storedHex(me, peer)) !== before) throw new Error(`event ${i}: state changed`);
      }
    }),
    { seed: 20, numRuns: 25 },
  );
});

t.test(
  'ATK-C04 every bit of a message is covered: no flip opens, none changes the record',
  async (t) => {
    const [a, b] = [makeParty(crypto), makeParty(crypto)];
    await introduce(a, b);
    const { bytes } = await send(a, b, 'x');
    const record = await storedRecord(b, a);
    const before = toHex(encodeSessionRecord(record));
    const ends = { local: b.address, remote: a.address };
    let refused = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = copyBytes(bytes);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        decryptMessage(crypto, record, { ...ends, message: decodeSignalMessage(forged) });
        t.fail(`bit ${bit} opened`);
      } catch (error) {
        if (!(error instanceof QasidError)) throw error;
        refused += 1;
      }
    }
    t.equal(refused, bytes.length * 8);
    t.equal(toHex(encodeSessionRecord(record)), before);
  },
);

t.test('ATK-C04 flips in a prekey message: what opens is the message itself', async (t) => {
  const [a, b] = [makeParty(crypto), makeParty(crypto)];
  const { bytes } = await send(a, b, 'the message', {});
  const keys = await acceptInput(b);
  const ends = { local: b.address, remote: a.address };
  const before = toHex(encodeSessionRecord(EMPTY_RECORD));
  let opened = 0;
  // All of the handshake's head and of the inner message; some of the KEM ciphertext's 12 544 bits.
  for (let bit = 0; bit < bytes.length * 8; bit += bit > 2_400 ? 101 : 5) {
    const forged = copyBytes(bytes);
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      const message = decodePreKeySignalMessage(forged);
      const { output } = decryptPreKeyMessage(crypto, EMPTY_RECORD, {
        ...ends,
        message,
        accept: keys,
      });
      // Ids and the registration id only serve looking up: they are not authenticated.
      if (new TextDecoder().decode(output) !== 'the message') t.fail(`bit ${bit}`);
      opened += 1;
    } catch (error) {
      if (!(error instanceof QasidError)) throw error;
    }
  }
  t.ok(opened < 30, `${opened} flips of ids and of the version nibble`);
  t.equal(toHex(encodeSessionRecord(EMPTY_RECORD)), before);
});

async function acceptInput(party: Party) {
  const signed = await party.store.loadSignedPreKey(1);
  const oneTime = await party.store.loadPreKey(1);
  const kem = await party.store.loadKemPreKey(1);
  return {
    identity: party.identity,
    localRegistrationId: party.registrationId,
    signedPreKey: decodeSignedPreKeyRecord(signed!).keyPair,
    preKey: decodePreKeyRecord(oneTime!).keyPair,
    kemPreKey: decodeKemPreKeyRecord(kem!.record).keyPair,
  };
}

t.test('forgotten keys: a thief of any state opens only what has not arrived', async (t) => {
  await holdsAsync(
    t,
    fc.asyncProperty(
      fc.array(fc.record({ side, arrives: fc.boolean() }), { minLength: 5, maxLength: 24 }),
      async (schedule) => {
        const parties = [makeParty(crypto), makeParty(crypto)] as const;
        await introduce(parties[0], parties[1]);
        const all: { from: Party; to: Party; message: EncryptedMessage; arrived: boolean }[] = [];
        for (const { side, arrives } of schedule) {
          const [from, to] = side === 0 ? parties : [parties[1], parties[0]];
          const message = await send(from, to, 'secret');
          if (arrives && (await outcome(to, from, message)) !== 'secret') throw new Error('lost');
          all.push({ from, to, message, arrived: arrives });
        }
        for (const { from, to, message, arrived } of all) {
          const thief = (holder: Party, peer: Party): Promise<boolean> =>
            opens(holder, peer, message);
          if (await thief(from, to)) throw new Error('the sender kept its own message key');
          if (arrived && (await thief(to, from)))
            throw new Error('the key of an opened message was kept');
        }
        const missing = all.filter(({ arrived }) => !arrived).slice(-1);
        for (const { from, to, message } of missing) {
          // The control: the test can tell an openable message.
          if (!(await opens(to, from, message)))
            throw new Error('the newest missing message is lost');
        }
      },
    ),
    { seed: 21, numRuns: 15 },
  );
});

/** Whether a copy of `holder`'s record for `peer` opens `message`, received or sent. */
async function opens(holder: Party, peer: Party, message: EncryptedMessage): Promise<boolean> {
  const record = await storedRecord(holder, peer);
  const { current } = record;
  if (current === undefined) throw new Error('no session');
  const decoded = decodeSignalMessage(message.bytes);
  // Also with the roles turned round, for a thief at the sender.
  const turned = {
    ...current,
    localIdentity: current.remoteIdentity,
    remoteIdentity: current.localIdentity,
  };
  for (const session of [current, turned]) {
    try {
      decryptMessage(
        crypto,
        { ...record, current: session },
        {
          local: holder.address,
          remote: peer.address,
          message: decoded,
        },
      );
      return true;
    } catch (error) {
      if (!(error instanceof QasidError)) throw error;
    }
  }
  return false;
}

/** Every byte array that can be reached from `value`. */
function reachable(
  value: unknown,
  found: Set<Uint8Array> = new Set(),
  seen: Set<unknown> = new Set(),
) {
  if (value instanceof Uint8Array) found.add(value);
  else if (typeof value === 'object' && value !== null && !seen.has(value)) {
    seen.add(value);
    for (const part of Object.values(value)) reachable(part, found, seen);
    if (value instanceof Map || value instanceof Set)
      for (const part of value) reachable(part, found, seen);
  }
  return found;
}

t.test(
  'transitions leave their input alone, and what is consumed is not in the new state',
  async (t) => {
    const run = <Output>(
      name: string,
      record: SessionRecord,
      make: (record: SessionRecord) => Transition<SessionRecord, Output>,
    ): Transition<SessionRecord, Output> => {
      const before = toHex(encodeSessionRecord(record));
      const result = make(record);
      t.equal(toHex(encodeSessionRecord(record)), before, `${name}: input unchanged`);
      const after = encodedAnew(result.state);
      t.not(after, before, `${name}: output changed`);
      const kept = reachable([result.state, result.output]);
      t.notOk(
        result.consumed.some((secret) => kept.has(secret)),
        `${name}: consumed is not kept`,
      );
      for (const secret of result.consumed) secret.fill(0);
      t.equal(encodedAnew(result.state), after, `${name}: wiping it harms nothing`);
      return result;
    };
    const [a, b] = [makeParty(crypto), makeParty(crypto)];
    const bundle = await b.bundle();
    const bundleOfA = await a.bundle();
    const accept = await acceptInput(b);
    const ours = { local: a.address, remote: b.address };
    const theirs = { local: b.address, remote: a.address };
    const own = { identity: a.identity, localRegistrationId: a.registrationId };
    const nowMs = NOW_MS;
    let recordA = run('initiate', EMPTY_RECORD, (record) =>
      initiateSession(crypto, record, { ...ours, ...own, bundle, nowMs }),
    ).state;
    let recordB = EMPTY_RECORD;
    const encryptA = (name: string): Bytes => {
      const input = { ...ours, plaintext: utf8(name), nowMs };
      const { state, output } = run(name, recordA, (record) =>
        encryptMessage(crypto, record, input),
      );
      recordA = state;
      return output.bytes;
    };
    const first = decodePreKeySignalMessage(encryptA('encrypt, pending'));
    recordB = run('accept', recordB, (record) =>
      decryptPreKeyMessage(crypto, record, { ...theirs, message: first, accept }),
    ).state;
    t.ok(
      accept.signedPreKey.secret.some((byte) => byte !== 0),
      'the signed prekey is not the session’s',
    );
    const late = decodePreKeySignalMessage(encryptA('late prekey message'));
    encryptA('lost');
    recordB = run('late prekey message', recordB, (record) =>
      decryptPreKeyMessage(crypto, record, { ...theirs, message: late, accept: undefined }),
    ).state;
    const answerInput = { ...theirs, plaintext: utf8('answer'), nowMs };
    const answer = run('answer', recordB, (record) => encryptMessage(crypto, record, answerInput));
    recordB = answer.state;
    recordA = run('answer opened', recordA, (record) =>
      decryptMessage(crypto, record, {
        ...ours,
        message: decodeSignalMessage(answer.output.bytes),
      }),
    ).state;
    const skipped = decodeSignalMessage(encryptA('skipped'));
    const ahead = decodeSignalMessage(encryptA('ahead'));
    for (const [name, message] of [
      ['ahead', ahead],
      ['skipped', skipped],
    ] as const) {
      recordB = run(name, recordB, (record) =>
        decryptMessage(crypto, record, { ...theirs, message }),
      ).state;
    }
    const underWay = decodeSignalMessage(encryptA('under way'));
    recordB = run('second session', recordB, (record) =>
      initiateSession(crypto, record, {
        ...theirs,
        identity: b.identity,
        localRegistrationId: 1,
        bundle: bundleOfA,
        nowMs,
      }),
    ).state;
    recordB = run('archived session promoted', recordB, (record) =>
      decryptMessage(crypto, record, { ...theirs, message: underWay }),
    ).state;
    t.equal(recordB.archived.length, 1);
    t.ok(decodeSessionRecord(encodeSessionRecord(recordB)).current);
  },
);

/** Hex of `record`, encoded from its decoded parts and from no remembered encoding. */
function encodedAnew(record: SessionRecord): string {
  const { current } = record;
  if (current === undefined) return toHex(encodeSessionRecord(record));
  const spqr = StoredSpqr.fromState(current.spqr.state);
  return toHex(encodeSessionRecord({ ...record, current: { ...current, spqr } }));
}
