/**
 * Mutated messages against live sessions, and mutated records in use: the errors are typed, and neither the
 * stored bytes nor the state held in memory change. Spec 08.
 */
import t from 'tap';
import { concatBytes, toHex } from '#src/bytes.js';
import { nodeProvider as node } from '#src/crypto/node.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { decodeIdentityKeyPair } from '#src/identity.js';
import { MemoryStore } from '#src/memory-store.js';
import { Operations } from '#src/operations.js';
import {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
} from '#src/prekeys.js';
import { decryptMessage, decryptPreKeyMessage, encryptMessage } from '#src/session.js';
import {
  decodeSessionRecord,
  EMPTY_RECORD,
  encodeSessionRecord,
  type SessionRecord,
} from '#src/session-record.js';
import type { KeyPair } from '#src/types.js';
import { decodePreKeySignalMessage, decodeSignalMessage } from '#src/wire/messages.js';
import { base64 } from '../support/hex.js';
import { attackTest } from './attack.js';
import { recorded } from './corpus.js';

interface Party {
  readonly name: string;
  readonly deviceId: number;
  readonly registrationId: number;
  readonly identityKeyPairRecord: string;
  readonly preKeyRecords: readonly { id: number; record: string }[];
  readonly signedPreKeyRecords: readonly { id: number; record: string }[];
  readonly kyberPreKeyRecords: readonly { id: number; record: string }[];
}

interface Step {
  readonly op: string;
  readonly by: string;
  readonly message?: number;
  readonly type?: number;
  readonly bytes?: string;
  readonly error?: unknown;
  readonly recordAfter?: string | null;
}

interface Conversation {
  readonly parties: Readonly<Record<string, Party>>;
  readonly steps: readonly Step[];
}

/** Draws the same for the same place in a run, so that two decryptions can be compared byte for byte. */
function repeatable(): CryptoProvider {
  const pair: KeyPair = node.x25519KeyPair();
  let counter = 0;
  return {
    ...node,
    randomBytes(length) {
      counter++;
      return new Uint8Array(length).map((_, i) => (i * 7 + counter) & 0xff);
    },
    x25519KeyPair: () => pair,
  };
}

/** A record just before a recorded message of type 2 arrived, and that message. */
interface Scene {
  readonly record: Uint8Array;
  readonly message: Uint8Array;
  readonly ends: { local: { name: string; deviceId: number }; remote: Scene['ends']['local'] };
}

/** Scenes of a recorded conversation in which the receiving record was written down. */
function scenesOf(path: string): Scene[] {
  const { parties, steps } = recorded(path) as Conversation;
  const sent = new Map<number, Uint8Array>();
  const last = new Map<string, Uint8Array | undefined>();
  const scenes: Scene[] = [];
  for (const step of steps) {
    if (step.op === 'encrypt' && step.message !== undefined) {
      sent.set(step.message, base64(step.bytes ?? ''));
    }
    const record = last.get(step.by);
    const message = step.bytes ? base64(step.bytes) : sent.get(step.message ?? -1);
    if (step.op === 'decrypt' && step.type === 2 && !step.error && record && message) {
      const names = Object.keys(parties);
      const at = (name: string | undefined) => {
        const party = parties[name ?? ''] as Party;
        return { name: party.name, deviceId: party.deviceId };
      };
      const ends = { local: at(step.by), remote: at(names.find((name) => name !== step.by)) };
      scenes.push({ record, message, ends });
    }
    // A step without its record leaves the state unknown until the next one that has it.
    last.set(step.by, step.recordAfter ? base64(step.recordAfter) : undefined);
  }
  return scenes;
}

const scenes = ['reordered', 'simultaneous', 'reestablished', 'in-order']
  .flatMap((name) => scenesOf(`sessions/conversation-${name}.json`).slice(-6))
  .filter((_, i) => i % 2 === 0);
t.ok(scenes.length >= 8, `${scenes.length} live sessions`);

/** What decrypting the genuine message makes of a record: the encoded next record. */
function outcomeOf(record: SessionRecord, scene: Scene): string {
  const message = decodeSignalMessage(scene.message);
  return toHex(
    encodeSessionRecord(decryptMessage(repeatableNow(), record, { ...scene.ends, message }).state),
  );
}

const fixedPair: KeyPair = node.x25519KeyPair();
function repeatableNow(): CryptoProvider {
  return { ...repeatable(), x25519KeyPair: () => fixedPair };
}

// The records stay in memory through the whole attack, as an application would keep them.
const held = scenes.map((scene) => decodeSessionRecord(scene.record));
const expected = scenes.map((scene) => outcomeOf(decodeSessionRecord(scene.record), scene));
let turn = 0;
attackTest(t, {
  name: 'message to a live session',
  answers: 'ATK-C04',
  share: 0.3,
  corpus: scenes.map((scene) => scene.message),
  header: 1,
  codes: /^(DECODE_|VERIFY_DECRYPTION$|STATE_DUPLICATE_MESSAGE$)/,
  msMax: 4000, // a counter 25 000 ahead is legal work, in every archived session
  run: (input) => {
    const own = scenes.findIndex((scene) => toHex(scene.message) === toHex(input));
    const at = own >= 0 ? own : turn++ % scenes.length;
    const message = decodeSignalMessage(input);
    decryptMessage(node, held[at] as SessionRecord, { ...(scenes[at] as Scene).ends, message });
    if (own < 0) throw new Error('opened a mutated message');
    return undefined;
  },
  unchanged: () =>
    scenes.every((scene, i) => {
      const record = held[i] as SessionRecord;
      return (
        toHex(encodeSessionRecord(record)) === toHex(scene.record) &&
        outcomeOf(record, scene) === expected[i]
      );
    }),
});

// A record that decodes must also work or say why not, whatever is in it.
attackTest(t, {
  name: 'session record in use',
  answers: 'ATK-C12',
  // First byte: which message is about to arrive.
  corpus: scenes.map((scene, i) => concatBytes(new Uint8Array([i]), scene.record)),
  header: 1,
  codes: /^(DECODE_SESSION_RECORD|VERIFY_DECRYPTION|STATE_[A-Z_]+|LIMIT_CHAIN_INDEX)$/,
  share: 0.2, // each input costs a decryption and an encryption
  msMax: 4000,
  run: (input) => {
    const record = decodeSessionRecord(input.subarray(1));
    const scene = scenes[(input[0] ?? 0) % scenes.length] as Scene;
    const { ends } = scene;
    encryptMessage(node, record, { ...ends, plaintext: new Uint8Array(3), nowMs: 1 });
    decryptMessage(node, record, { ...ends, message: decodeSignalMessage(scene.message) });
    return undefined;
  },
});

const first = recorded('sessions/conversation-in-order.json') as Conversation;
const bob = first.parties.bob as Party;
const alice = first.parties.alice as Party;
const handshakes = first.steps.filter((step) => step.op === 'encrypt' && step.type === 3);
const keyOf = (records: Party['preKeyRecords'], id: number | undefined): Uint8Array | undefined => {
  const found = records.find((one) => one.id === id);
  return found && base64(found.record);
};

attackTest(t, {
  name: 'handshake to a fresh device',
  answers: 'ATK-B02 ATK-C04',
  corpus: handshakes.map((step) => base64(step.bytes ?? '')),
  header: 1,
  codes:
    /^(DECODE_|VERIFY_(DECRYPTION|DOWNGRADE|BASE_KEY|KEY_AGREEMENT)$|STATE_(NO_PREKEY|DUPLICATE_MESSAGE)$)/,
  share: 0.2, // each input costs a whole key agreement
  msMax: 4000,
  run: (input) => {
    const message = decodePreKeySignalMessage(input);
    const signed = keyOf(bob.signedPreKeyRecords, message.signedPreKeyId);
    const kem = keyOf(bob.kyberPreKeyRecords, message.kem?.preKeyId);
    const once = keyOf(bob.preKeyRecords, message.preKeyId);
    const accept =
      signed && kem
        ? {
            identity: decodeIdentityKeyPair(base64(bob.identityKeyPairRecord)),
            localRegistrationId: bob.registrationId,
            signedPreKey: decodeSignedPreKeyRecord(signed).keyPair,
            preKey: once && decodePreKeyRecord(once).keyPair,
            kemPreKey: decodeKemPreKeyRecord(kem).keyPair,
          }
        : undefined;
    const ends = {
      local: { name: bob.name, deviceId: bob.deviceId },
      remote: { name: alice.name, deviceId: alice.deviceId },
    };
    decryptPreKeyMessage(node, EMPTY_RECORD, { ...ends, message, accept });
    return undefined;
  },
  unchanged: () => EMPTY_RECORD.current === undefined && EMPTY_RECORD.archived.length === 0,
});

// Through Operations and a store: what is on disk is what is compared.
const scene = scenes[0] as Scene;
const identity = decodeIdentityKeyPair(
  base64(
    (
      Object.values(
        (recorded('sessions/conversation-reordered.json') as Conversation).parties,
      ).find((party) => party.name === scene.ends.local.name) as Party
    ).identityKeyPairRecord,
  ),
);
const store = new MemoryStore({ identity, registrationId: 1 });
await store.commit({
  sessions: [{ address: scene.ends.remote, record: scene.record.slice(), expectedVersion: 0 }],
});
const operations = new Operations({ crypto: node, store, local: scene.ends.local });
attackTest(t, {
  name: 'message to a device',
  answers: 'ATK-C04 ATK-C16',
  share: 0.3,
  corpus: [scene.message],
  header: 1,
  codes: /^(DECODE_|VERIFY_|STATE_DUPLICATE_MESSAGE$|STATE_NO_PREKEY$)/,
  msMax: 4000,
  run: async (input) => {
    // The genuine message would move the state on; everything else must not.
    if (toHex(input) === toHex(scene.message)) return undefined;
    const type = input.length % 16 === 0 ? 3 : 2;
    await operations.decrypt(scene.ends.remote, type, input, 1_700_000_000_000);
    throw new Error('opened a mutated message');
  },
  unchanged: async () => {
    const stored = await store.loadSession(scene.ends.remote);
    return stored?.version === 1 && toHex(stored.record) === toHex(scene.record);
  },
});
