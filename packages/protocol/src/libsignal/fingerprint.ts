/** Façade. Safety numbers. */
import { provider as crypto } from '#provider';
import { copyBytes, type Bytes } from '../bytes.js';
import { compareScannable, createFingerprint } from '../fingerprint.js';
import { translate, u32 } from './errors.js';
import type { PublicKey } from './keys.js';

/** 60 digits. */
export class DisplayableFingerprint {
  readonly #digits: string;

  private constructor(digits: string) {
    this.#digits = digits;
  }

  /** For the façade's own files. */
  static _of(digits: string): DisplayableFingerprint {
    return new DisplayableFingerprint(digits);
  }

  toString(): string {
    return this.#digits;
  }
}

/** What a QR code holds. */
export class ScannableFingerprint {
  readonly #bytes: Bytes;

  private constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** From scanned bytes. */
  static _fromBuffer(bytes: Uint8Array): ScannableFingerprint {
    return new ScannableFingerprint(copyBytes(bytes));
  }

  /** Whether `other`, as scanned from the other device, belongs to ours. */
  compare(other: ScannableFingerprint): boolean {
    return translate('ScannableFingerprint_Compare', () =>
      compareScannable(this.#bytes, other.#bytes),
    );
  }

  toBuffer(): Bytes {
    return copyBytes(this.#bytes);
  }
}

/** The safety number of two people. */
export class Fingerprint {
  readonly #displayable: DisplayableFingerprint;
  readonly #scannable: ScannableFingerprint;

  private constructor(displayable: DisplayableFingerprint, scannable: ScannableFingerprint) {
    this.#displayable = displayable;
    this.#scannable = scannable;
  }

  static new(
    iterations: number,
    version: number,
    localIdentifier: Uint8Array,
    localKey: PublicKey,
    remoteIdentifier: Uint8Array,
    remoteKey: PublicKey,
  ): Fingerprint {
    u32(iterations);
    u32(version);
    const made = translate('Fingerprint_New', () =>
      createFingerprint(
        crypto,
        { identifier: localIdentifier, identityKey: localKey._core },
        { identifier: remoteIdentifier, identityKey: remoteKey._core },
        version,
        iterations,
      ),
    );
    return new Fingerprint(
      DisplayableFingerprint._of(made.digits),
      ScannableFingerprint._fromBuffer(made.scannable),
    );
  }

  displayableFingerprint(): DisplayableFingerprint {
    return this.#displayable;
  }

  scannableFingerprint(): ScannableFingerprint {
    return this.#scannable;
  }
}
