/** Groups, sealed sender, signatures and safety numbers, said once for both implementations. */

/** What an implementation does beside pairwise sessions; each call is one unit of work. */
export interface Formats {
  /** Encrypt 100 bytes for a group, records stored; returns the message. */
  groupEncrypt(): Promise<Uint8Array>;
  /** Open it as a member, records stored. */
  groupDecrypt(message: Uint8Array): Promise<Uint8Array>;
  /** Seal content for one recipient, version 1. */
  seal(): Promise<Uint8Array>;
  /** Open it to its content and validate the certificate. */
  unseal(sealed: Uint8Array): Promise<void>;
  /** Seal content for 20 accounts, version 2. */
  sealForMany(): Promise<Uint8Array>;
  /** XEdDSA signature of 100 bytes. */
  sign(): Uint8Array;
  /** Check it. */
  verify(signature: Uint8Array): void;
  /** A safety number, 5 200 iterations. */
  safetyNumber(): string;
}

export const GROUP_TEXT = new Uint8Array(100).fill(7);
export const RECIPIENTS = 20;
export const CHANNEL = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';
export const SENDER = '9d0652a3-dcc3-4d11-975f-74d61598733f';
export const NOW_MS = 1_760_000_000_000;

/** Names of the accounts of a fan-out. */
export function accounts(): string[] {
  return Array.from(
    { length: RECIPIENTS },
    (_, i) => `796abedb-ca4e-4f18-8803-${i.toString(16).padStart(12, '0')}`,
  );
}
