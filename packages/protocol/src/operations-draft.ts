/**
 * 08 Session. What one operation has made so far, before its commit.
 */
import { encodeSessionRecord, type SessionRecord } from './session-record.js';
import type { Transition } from './secret.js';
import type { StoreChanges } from './stores.js';
import type { Leniency } from './strictness.js';
import { addressText, type Address, type PublicKey } from './types.js';

/** A decoded record and the store version it was read at or written as; 0 when the store has none. */
export interface Loaded {
  readonly record: SessionRecord;
  readonly version: number;
}

/** What one operation has made so far, before its commit. */
export class Draft {
  readonly sessions: Map<string, Loaded & { readonly address: Address }> = new Map();
  /** First uses, by account name. */
  readonly identities: Map<string, PublicKey> = new Map();
  readonly consumed: Uint8Array[] = [];
  /** What was lenient about the input; told once the commit is durable. */
  readonly tolerated: Leniency[] = [];

  step<Output>(
    address: Address,
    version: number,
    transition: Transition<SessionRecord, Output>,
  ): Output {
    this.sessions.set(addressText(address), { address, version, record: transition.state });
    for (const secret of transition.consumed) this.consumed.push(secret);
    return transition.output;
  }

  changes<Extra>(): StoreChanges<Extra> {
    return {
      sessions: [...this.sessions.values()].map(({ address, version, record }) => ({
        address,
        record: encodeSessionRecord(record),
        expectedVersion: version,
      })),
      identities: [...this.identities].map(([name, identityKey]) => ({
        name,
        identityKey,
        firstUse: true,
      })),
    };
  }
}

/** By code, not class: the adapter may come with another copy of this package. */
export function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
