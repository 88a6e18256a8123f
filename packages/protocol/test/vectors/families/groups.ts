/** Recorded sender-key cases: derivation, conversations, record states, errors and limits. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { fromHex, toHex, u32be } from '#src/bytes.js';
import { QasidError } from '#src/errors.js';
import type { PublicKey } from '#src/types.js';
import {
  decodeSenderKeyRecord,
  distributionMessage,
  EMPTY_SENDER_KEY_RECORD,
  encodeSenderKeyRecord,
  groupDecrypt,
  groupEncrypt,
  processDistributionMessage,
  type SenderKeyRecord,
} from '#src/sender-keys.js';
import { decodeDistributionMessage } from '#src/wire/sender-keys.js';

export const files = [
  'groups/derivation.json',
  'groups/conversations.json',
  'groups/states.json',
  'groups/errors-and-limits.json',
];

// biome-ignore lint/suspicious/noExplicitAny: recorded JSON, checked by what the cases assert
type Json = any;

interface Result {
  name: string;
  ok: boolean;
  detail?: string;
}

/** Kinds of groups-and-sealed-sender §1.3 to our codes. */
const CODES: Record<string, string> = {
  'invalid-protobuf': 'DECODE_PROTOBUF',
  'message-too-short': 'DECODE_MESSAGE_TOO_SHORT',
  'legacy-version': 'DECODE_VERSION_TOO_OLD',
  'unrecognized-version': 'DECODE_VERSION_UNKNOWN',
  'unrecognized-message-version': 'DECODE_VERSION_MISMATCH',
  'bad-key-type': 'DECODE_KEY_TYPE',
  'invalid-signature': 'VERIFY_SIGNATURE',
  'no-sender-key-state': 'STATE_NO_SENDER_KEY',
  'invalid-sender-key-session': 'STATE_INVALID_SENDER_KEY',
  'duplicated-message': 'STATE_DUPLICATE_MESSAGE',
  'message-too-far-in-future': 'STATE_TOO_FAR_AHEAD',
  'bad-ciphertext': 'VERIFY_DECRYPTION',
  'invalid-state': 'LIMIT_CHAIN_INDEX',
};

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === undefined) throw new Error(`not hex: ${hex.slice(0, 20)}`);
  return value;
}

function record(hex: string | null): SenderKeyRecord | undefined {
  return hex === null ? undefined : decodeSenderKeyRecord(bytes(hex));
}

function uuid(text: string): Uint8Array {
  return bytes(text.replaceAll('-', ''));
}

/** Runs `attempt`; returns the hex of what it gives, or `error:CODE`. */
function outcome(attempt: () => string): string {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof QasidError) return `error:${error.code}`;
    throw error;
  }
}

function wanted(step: { ok?: string; error?: string }): string {
  return step.error === undefined ? (step.ok ?? '') : `error:${CODES[step.error] ?? step.error}`;
}

/** Long records are recorded as length and digest. */
function storedText(stored: string | null, want: Json, crypto: CryptoProvider): string {
  if (stored === null || want === null || typeof want === 'string') return `${stored}`;
  const encoded = bytes(stored);
  return JSON.stringify({ sha256: toHex(crypto.sha256(encoded)), length: encoded.length });
}

function wantedText(want: Json): string {
  return want !== null && typeof want === 'object' ? JSON.stringify(want) : `${want}`;
}

function compare(name: string, got: string, want: string): Result {
  return got === want
    ? { name, ok: true }
    : { name, ok: false, detail: `got ${got.slice(0, 200)}, want ${want.slice(0, 200)}` };
}

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as Json;
  if (file.cases) yield* derivation(file, crypto);
  else if (file.conversations) yield* conversations(file, crypto);
  else if (file.steps) yield* states(file, crypto);
  else yield* limits(file, crypto);
}

function* derivation(file: Json, crypto: CryptoProvider): Iterable<Result> {
  for (const [i, c] of file.cases.entries()) {
    // A sender's record that stands at the case's iteration.
    const at: SenderKeyRecord = {
      states: [
        {
          chainId: c.chainId,
          chain: { iteration: c.iteration, seed: bytes(c.chainKeyAtIteration).slice() },
          signing: {
            public: bytes(c.signingPublicKey).slice(),
            secret: bytes(c.signingPrivateKey).slice(),
          },
          skipped: [],
          messageVersion: 3,
        },
      ],
    };
    const sent = groupEncrypt(crypto, at, uuid(c.distributionId), bytes(c.plaintext));
    yield compare(
      `derivation ${i}: body`,
      toHex(sent.output.subarray(0, sent.output.length - 64)),
      c.messageBodyWithoutSignature,
    );
    yield compare(
      `derivation ${i}: next chain key`,
      toHex(sent.state.states[0]!.chain!.seed),
      c.nextChainKey,
    );
    yield {
      name: `derivation ${i}: signature`,
      ok: crypto.xeddsaVerify(
        bytes(c.signingPublicKey) as PublicKey,
        sent.output.subarray(sent.output.length - 64),
        bytes(c.messageBodyWithoutSignature),
      ),
    };
    const opened = groupDecrypt(crypto, at, bytes(c.message));
    yield compare(`derivation ${i}: plaintext`, toHex(opened.output), c.plaintext);
  }
}

function* conversations(file: Json, crypto: CryptoProvider): Iterable<Result> {
  for (const [i, c] of file.conversations.entries()) {
    const name = `conversation ${i}`;
    const created = decodeSenderKeyRecord(bytes(c.senderRecordAfterCreate));
    if (c.joinedAtIteration === 0) {
      yield compare(
        `${name}: distribution message`,
        toHex(distributionMessage(created, uuid(c.distributionId))),
        c.distributionMessage,
      );
    }
    let receiver = processDistributionMessage(
      EMPTY_SENDER_KEY_RECORD,
      bytes(c.distributionMessage),
    ).state;
    yield compare(
      `${name}: receiver record`,
      toHex(encodeSenderKeyRecord(receiver)),
      c.receiverRecordAfterProcess,
    );
    for (const [j, send] of c.sends.entries()) {
      const sent = groupEncrypt(
        crypto,
        record(send.senderRecordBefore),
        uuid(c.distributionId),
        bytes(send.plaintext),
      );
      yield compare(
        `${name}: send ${j}`,
        toHex(sent.output.subarray(0, sent.output.length - 64)),
        send.bodyWithoutSignature,
      );
      yield compare(
        `${name}: sender record ${j}`,
        toHex(encodeSenderKeyRecord(sent.state)),
        send.senderRecordAfter,
      );
    }
    for (const [j, delivery] of c.deliveries.entries()) {
      const before = toHex(encodeSenderKeyRecord(receiver));
      const got = outcome(() => {
        const opened = groupDecrypt(crypto, receiver, bytes(c.sends[delivery.deliver].message));
        receiver = opened.state;
        return toHex(opened.output);
      });
      yield compare(`${name}: delivery ${j}`, got, wanted(delivery));
      yield compare(
        `${name}: receiver record ${j}`,
        toHex(encodeSenderKeyRecord(receiver)),
        delivery.receiverRecordAfter ?? before,
      );
    }
  }
}

function* states(file: Json, crypto: CryptoProvider): Iterable<Result> {
  let current = EMPTY_SENDER_KEY_RECORD;
  for (const [i, step] of file.steps.entries()) {
    const name = `states ${i}: ${step.note}`;
    if (step.step === 'process') {
      current = processDistributionMessage(current, bytes(step.distributionMessage)).state;
    } else {
      const got = outcome(() => {
        const opened = groupDecrypt(crypto, current, bytes(step.message));
        current = opened.state;
        return toHex(opened.output);
      });
      yield compare(`${name}: outcome`, got, wanted(step));
    }
    yield compare(`${name}: record`, toHex(encodeSenderKeyRecord(current)), step.recordAfter);
  }
}

function* limits(file: Json, crypto: CryptoProvider): Iterable<Result> {
  for (const c of file.decrypt) {
    let stored: string | null = null;
    const got = outcome(() => {
      const opened = groupDecrypt(crypto, record(c.record), bytes(c.message));
      stored = toHex(encodeSenderKeyRecord(opened.state));
      return toHex(opened.output);
    });
    yield compare(`decrypt: ${c.note}`, got, wanted(c));
    yield compare(
      `decrypt: ${c.note}: stored`,
      storedText(stored, c.recordStored, crypto),
      wantedText(c.recordStored),
    );
  }
  for (const c of file.encrypt) {
    let stored: string | null = null;
    const got = outcome(() => {
      const sent = groupEncrypt(
        crypto,
        record(c.record),
        uuid(file.distributionId),
        bytes(c.plaintext),
      );
      stored = toHex(encodeSenderKeyRecord(sent.state));
      return toHex(sent.output.subarray(0, sent.output.length - 64));
    });
    yield compare(`encrypt: ${c.note}`, got, wanted({ ...c, ok: c.bodyWithoutSignature }));
    yield compare(
      `encrypt: ${c.note}: stored`,
      storedText(stored, c.recordStored, crypto),
      wantedText(c.recordStored),
    );
  }
  for (const c of file.parseDistributionMessage) {
    const got = outcome(() => {
      processDistributionMessage(EMPTY_SENDER_KEY_RECORD, bytes(c.message));
      const { chainId, iteration, chainKey } = decodeDistributionMessage(bytes(c.message));
      return toHex(u32be(chainId)) + toHex(u32be(iteration)) + toHex(chainKey);
    });
    const want =
      c.error === undefined
        ? toHex(u32be(c.ok.chainId)) + toHex(u32be(c.ok.iteration)) + c.ok.chainKey
        : wanted(c);
    yield compare(`distribution message: ${c.note}`, got, want);
  }
}
