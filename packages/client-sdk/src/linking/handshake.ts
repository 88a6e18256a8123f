/**
 * 20 Linking §3. Three messages after which two devices share keys, and a code of eight digits that is the same
 * on both exactly when nobody stands between them. Pure: no network, no clock.
 *
 * The device that scans commits to its key and number before it learns the other's number, and the other has
 * shown its key already: whoever sits in the middle chooses everything blindly, and hits the code once in 10^8.
 */
import {
  concatBytes,
  copyBytes,
  equalBytes,
  toPublicKey,
  wipe,
  type Bytes,
  type CryptoProvider,
  type KeyPair,
  type PublicKey,
} from '@qasid/protocol';

import { LinkError } from '../errors.js';
import {
  CODE_DIGITS,
  LABEL_LINKING_COMMIT,
  LABEL_LINKING_KEYS,
  LABEL_LINKING_OUTER,
  LABEL_LINKING_SLOTS,
  LABEL_LINKING_TRANSCRIPT,
  NONCE_BYTES,
} from './limits.js';
import { linkBytes, type LinkCode } from './link-text.js';
import { openBox, sealBox } from './box.js';

/** Messages of a linking, in the order of their slots. */
export const STEP = { commit: 1, answer: 2, reveal: 3, confirm: 4, grant: 5 } as const;

/** Number of a message. */
export type Step = (typeof STEP)[keyof typeof STEP];

/** What both sides know from the code alone. Secret. */
export interface LinkBase {
  /** SHA-256 of the code, 32 bytes. */
  readonly hash: Bytes;
  /** 64 bytes, for the first three messages: a relay without the code can neither read nor write them. */
  readonly outer: Bytes;
  /** Name of the rendezvous slot of each step, 16 bytes each. */
  readonly slots: readonly Bytes[];
}

/** What both sides know after the third message. Secret, but for `code`. */
export interface LinkKeys {
  /** Binds everything that comes later, 32 bytes. */
  readonly transcript: Bytes;
  /** 64 bytes each. */
  readonly fromNewDevice: Bytes;
  readonly fromAccount: Bytes;
  /** Eight digits for people. */
  readonly code: string;
}

/** Derive what the code alone gives. */
export function linkBase(crypto: CryptoProvider, code: LinkCode): LinkBase {
  const hash = crypto.sha256(linkBytes(code));
  const names = crypto.hkdfSha256(hash, code.seed, LABEL_LINKING_SLOTS, 5 * 16);
  return {
    hash,
    outer: crypto.hkdfSha256(hash, code.seed, LABEL_LINKING_OUTER, 64),
    slots: [0, 1, 2, 3, 4].map((index) => names.slice(index * 16, index * 16 + 16)),
  };
}

/** The side that scanned the code. */
export class ScanningSide {
  readonly #crypto: CryptoProvider;
  readonly #code: LinkCode;
  readonly #base: LinkBase;
  readonly #keyPair: KeyPair;
  /** What the third message reveals: key (32), number (32), payload. */
  readonly #reveal: Bytes;
  readonly #commitment: Bytes;

  /** @param payload - What this side tells of itself. */
  constructor(crypto: CryptoProvider, code: LinkCode, base: LinkBase, payload: Uint8Array) {
    this.#crypto = crypto;
    this.#code = code;
    this.#base = base;
    this.#keyPair = crypto.x25519KeyPair();
    const nonce = crypto.randomBytes(NONCE_BYTES);
    this.#reveal = concatBytes(this.#keyPair.public.subarray(1), nonce, payload);
    this.#commitment = commitmentOf(crypto, this.#reveal);
  }

  /** The first message. */
  commit(): Bytes {
    return sealOuter(this.#crypto, this.#base, STEP.commit, this.#commitment);
  }

  /**
   * Take the second message.
   *
   * @returns the third one, the keys, and what the other side told of itself.
   * @throws LinkError `LINK_ALTERED`
   */
  reveal(answer: Uint8Array): {
    readonly message: Bytes;
    readonly keys: LinkKeys;
    readonly payload: Bytes;
  } {
    const opened = openOuter(this.#crypto, this.#base, STEP.answer, answer);
    if (opened.length < NONCE_BYTES) throw altered();
    const keys = deriveKeys(this.#crypto, this.#code, this.#base, this.#keyPair, this.#code.key, [
      this.#commitment,
      opened,
      this.#reveal,
    ]);
    return {
      message: sealOuter(this.#crypto, this.#base, STEP.reveal, this.#reveal),
      keys,
      payload: opened.slice(NONCE_BYTES),
    };
  }
}

/** The side that shows the code. */
export class ShowingSide {
  readonly #crypto: CryptoProvider;
  readonly #code: LinkCode;
  readonly #base: LinkBase;
  readonly #keyPair: KeyPair;
  /** Number (32) and payload. */
  readonly #answer: Bytes;
  #commitment: Bytes | undefined;

  /**
   * @param keyPair - The one whose public key the code shows; wiped with the side.
   * @param payload - What this side tells of itself.
   */
  constructor(
    crypto: CryptoProvider,
    code: LinkCode,
    base: LinkBase,
    keyPair: KeyPair,
    payload: Uint8Array,
  ) {
    this.#crypto = crypto;
    this.#code = code;
    this.#base = base;
    this.#keyPair = keyPair;
    this.#answer = concatBytes(crypto.randomBytes(NONCE_BYTES), payload);
  }

  /** Take the first message, give the second. @throws LinkError `LINK_ALTERED` */
  answer(commit: Uint8Array): Bytes {
    const commitment = openOuter(this.#crypto, this.#base, STEP.commit, commit);
    if (commitment.length !== 32) throw altered();
    this.#commitment = commitment;
    return sealOuter(this.#crypto, this.#base, STEP.answer, this.#answer);
  }

  /** Take the third message. @throws LinkError `LINK_ALTERED` */
  finish(reveal: Uint8Array): { readonly keys: LinkKeys; readonly payload: Bytes } {
    const opened = openOuter(this.#crypto, this.#base, STEP.reveal, reveal);
    const commitment = this.#commitment;
    if (commitment === undefined || opened.length < 32 + NONCE_BYTES) throw altered();
    // ATK-G05: what was chosen after our number was seen is not what was committed to.
    if (!equalBytes(commitment, commitmentOf(this.#crypto, opened))) throw altered();
    const theirs = toPublicKey(concatBytes(new Uint8Array([0x05]), opened.subarray(0, 32)));
    const keys = deriveKeys(this.#crypto, this.#code, this.#base, this.#keyPair, theirs, [
      commitment,
      this.#answer,
      opened,
    ]);
    return { keys, payload: opened.slice(32 + NONCE_BYTES) };
  }
}

/** Encrypt the fourth or fifth message. */
export function sealStep(
  crypto: CryptoProvider,
  keys: LinkKeys,
  step: 4 | 5,
  message: Uint8Array,
): Bytes {
  return sealBox(crypto, keyOf(keys, step), contextOf(step, keys.transcript), message);
}

/** Open the fourth or fifth message. @throws LinkError `LINK_ALTERED` */
export function openStep(
  crypto: CryptoProvider,
  keys: LinkKeys,
  step: 4 | 5,
  sealed: Uint8Array,
): Bytes {
  const opened = openBox(crypto, keyOf(keys, step), contextOf(step, keys.transcript), sealed);
  if (opened === undefined) throw altered();
  return opened;
}

function keyOf(keys: LinkKeys, step: 4 | 5): Bytes {
  return step === STEP.confirm ? keys.fromNewDevice : keys.fromAccount;
}

function deriveKeys(
  crypto: CryptoProvider,
  code: LinkCode,
  base: LinkBase,
  ours: KeyPair,
  theirs: PublicKey,
  messages: readonly Uint8Array[],
): LinkKeys {
  const hashes = messages.map((message) => crypto.sha256(message));
  const transcript = crypto.sha256(LABEL_LINKING_TRANSCRIPT, base.hash, ...hashes);
  const shared = crypto.x25519(ours.secret, theirs);
  // With the seed, so that a quantum computer that opens the key agreement one day opens nothing.
  const secret = concatBytes(shared, code.seed);
  const out = crypto.hkdfSha256(transcript, secret, LABEL_LINKING_KEYS, 64 + 64 + 6);
  const fromNewDevice = out.slice(0, 64);
  const fromAccount = out.slice(64, 128);
  const digits = out.slice(128).reduce((sum, byte) => sum * 256 + byte, 0) % 10 ** CODE_DIGITS;
  wipe(shared, secret, out, ours.secret);
  return { transcript, fromNewDevice, fromAccount, code: `${digits}`.padStart(CODE_DIGITS, '0') };
}

function commitmentOf(crypto: CryptoProvider, reveal: Uint8Array): Bytes {
  return crypto.sha256(LABEL_LINKING_COMMIT, crypto.sha256(reveal));
}

function sealOuter(crypto: CryptoProvider, base: LinkBase, step: Step, message: Uint8Array): Bytes {
  return sealBox(crypto, base.outer, contextOf(step, base.hash), message);
}

function openOuter(crypto: CryptoProvider, base: LinkBase, step: Step, sealed: Uint8Array): Bytes {
  const opened = openBox(crypto, base.outer, contextOf(step, base.hash), sealed);
  if (opened === undefined) throw altered();
  return copyBytes(opened);
}

/** One byte, then 32: no two contexts give the same bytes. */
function contextOf(step: Step, hash: Uint8Array): Bytes {
  return concatBytes(new Uint8Array([step]), hash);
}

function altered(): LinkError {
  return new LinkError('LINK_ALTERED', 'a message between the devices is not as it was sent');
}
