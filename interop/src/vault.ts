/**
 * One device's disk: nothing but serialised records, as either implementation writes them.
 *
 * An engine (libsignal-engine.ts, qasid-engine.ts) is a program that runs on a vault. Giving a vault to the
 * other engine in the middle of a conversation is the hand-over that interoperability means here.
 */

/** Name and device number, 1 to 127. */
export interface Address {
  readonly name: string;
  readonly deviceId: number;
}

/** `name.device`. */
export function addressKey(address: Address): string {
  return `${address.name}.${address.deviceId}`;
}

/** What a sender fetches to start a session, in serialised keys. */
export interface WireBundle {
  readonly registrationId: number;
  readonly deviceId: number;
  readonly preKey?: { readonly id: number; readonly public: Uint8Array };
  readonly signedPreKey: SignedKey;
  readonly kemPreKey: SignedKey;
  readonly identityKey: Uint8Array;
}

/** A prekey with the identity's signature over its serialised form. */
export interface SignedKey {
  readonly id: number;
  readonly public: Uint8Array;
  readonly signature: Uint8Array;
}

/** A message on the wire: type 2 (plain) or 3 (prekey). */
export interface Sealed {
  readonly type: 2 | 3;
  readonly bytes: Uint8Array;
}

interface SessionRow {
  readonly record: Uint8Array;
  readonly version: number;
}

/** The records of one device. Methods copy nothing: records are never rewritten in place. */
export class Vault {
  readonly address: Address;
  readonly registrationId: number;
  /** IdentityKeyPair record, 69 bytes. */
  readonly identityRecord: Uint8Array;
  readonly preKeys: Map<number, Uint8Array> = new Map();
  readonly signedPreKeys: Map<number, Uint8Array> = new Map();
  readonly kemPreKeys: Map<number, Uint8Array> = new Map();
  readonly identities: Map<string, Uint8Array> = new Map();
  /** KEM prekeys kept after use; the others are deleted. */
  readonly lastResort: Set<number> = new Set();
  /** `kem/signed/base key` of last-resort uses. */
  readonly usedBaseKeys: Set<string> = new Set();
  readonly #sessions: Map<string, SessionRow> = new Map();

  constructor(address: Address, registrationId: number, identityRecord: Uint8Array) {
    this.address = address;
    this.registrationId = registrationId;
    this.identityRecord = identityRecord;
  }

  session(remote: Address): SessionRow | undefined {
    return this.#sessions.get(addressKey(remote));
  }

  putSession(remote: Address, record: Uint8Array): void {
    const key = addressKey(remote);
    const version = (this.#sessions.get(key)?.version ?? 0) + 1;
    this.#sessions.set(key, { record, version });
  }

  deleteSession(remote: Address): void {
    this.#sessions.delete(addressKey(remote));
  }

  sessionRecords(): Uint8Array[] {
    return [...this.#sessions.values()].map((row) => row.record);
  }

  /** Mark a KEM prekey used. @returns false when a last-resort key meets the same base key again. */
  useKemPreKey(kemId: number, signedId: number, baseKey: Uint8Array): boolean {
    if (!this.lastResort.has(kemId)) {
      this.kemPreKeys.delete(kemId);
      return true;
    }
    const use = `${kemId}/${signedId}/${hex(baseKey)}`;
    if (this.usedBaseKeys.has(use)) return false;
    this.usedBaseKeys.add(use);
    return true;
  }

  /** An independent vault with the same records. */
  clone(): Vault {
    const copy = new Vault(this.address, this.registrationId, this.identityRecord);
    for (const [key, row] of this.#sessions) copy.#sessions.set(key, row);
    for (const name of ['preKeys', 'signedPreKeys', 'kemPreKeys'] as const) {
      for (const [id, record] of this[name]) copy[name].set(id, record);
    }
    for (const [name, key] of this.identities) copy.identities.set(name, key);
    for (const id of this.lastResort) copy.lastResort.add(id);
    for (const use of this.usedBaseKeys) copy.usedBaseKeys.add(use);
    return copy;
  }

  /** One text over everything stored: equal before and after means nothing changed. */
  snapshot(): string {
    const rows: string[] = [];
    for (const [key, row] of this.#sessions) rows.push(`session ${key} ${hex(row.record)}`);
    for (const name of ['preKeys', 'signedPreKeys', 'kemPreKeys'] as const) {
      for (const [id, record] of this[name]) rows.push(`${name} ${id} ${hex(record)}`);
    }
    for (const [name, key] of this.identities) rows.push(`identity ${name} ${hex(key)}`);
    rows.push(...this.usedBaseKeys);
    return rows.join('\n');
  }
}

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Whether two byte strings are equal; for tests only. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
