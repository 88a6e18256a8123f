/**
 * 18 Stored rows §8. A store that is an older copy of itself: what must not be used again.
 *
 * A counter in the store rises with every commit that moves a session, and is noted in a second place right
 * after. A store that knows less than the note was put back. Its sessions would use message keys and IVs a
 * second time (ATK-C08), so they go, archived ones too, which a message could bring back (08 §7); with them
 * our own chains, whose counters would be used again, and all published prekeys.
 */
import type { Profile } from './port.js';

/** Name of the counter, and of the one that tells this store from a new one in its place. */
export const EPOCH_COUNTER = 'epoch';
export const STORE_ID_COUNTER = 'store-id';

/** Counter that says that nobody was told yet. */
export const RESTORED_COUNTER = 'restored';

/**
 * Spaces of records that go, for what is in them counts something that must not be counted twice: our own chains
 * (15 §5), our own sender keys of groups and who has them (19).
 */
export const SPACES_NOT_RESTORED: readonly string[] = [
  'chain-out',
  'group-key-out',
  'group-key-holders',
];

/** How far counters jump ahead of what the lost part may have used. */
const JUMP = 1_000_000;

/** Ids of prekeys the lost part may have published. At most this many fit below the limit of ids. */
const PREKEY_JUMP = 4_096;

/** An epoch that no relay has: everything is published anew. */
const NO_RELAY_EPOCH = 0xffff_ffff;

/** What the second place says. */
export interface EpochMark {
  readonly storeId: number;
  readonly epoch: number;
}

/** The mark as text of a fixed length, so that one write replaces all of it. */
export function encodeMark({ storeId, epoch }: EpochMark): string {
  return `${String(storeId).padStart(16, '0')} ${String(epoch).padStart(16, '0')}\n`;
}

/** `undefined` for anything else than a mark. */
export function decodeMark(text: string | null | undefined): EpochMark | undefined {
  const match = /^([0-9]{16}) ([0-9]{16})\n$/.exec(text ?? '');
  return match === null ? undefined : { storeId: Number(match[1]), epoch: Number(match[2]) };
}

/** Whether a store with these counters is older than the mark says. Another store is not. */
export function isOlder(store: EpochMark, mark: EpochMark | undefined): boolean {
  return mark !== undefined && mark.storeId === store.storeId && mark.epoch > store.epoch;
}

/** Where the counter goes on. */
export function epochAfter(mark: EpochMark): number {
  return mark.epoch + JUMP;
}

/** A number for a new store, below 2^48. */
export function newStoreId(randomBytes: (length: number) => Uint8Array): number {
  return randomBytes(6).reduce((sum, byte) => sum * 256 + byte, 0);
}

/** The profile with which a restored store goes on: new prekeys under ids never used, all published anew. */
export function renewedProfile(profile: Profile): Profile {
  const { prekeys } = profile;
  return {
    ...profile,
    relayEpoch: NO_RELAY_EPOCH,
    prekeys: {
      ...prekeys,
      nextPreKeyId: prekeys.nextPreKeyId + PREKEY_JUMP,
      nextSignedPreKeyId: prekeys.nextSignedPreKeyId + PREKEY_JUMP,
      nextKemPreKeyId: prekeys.nextKemPreKeyId + PREKEY_JUMP,
    },
  };
}
