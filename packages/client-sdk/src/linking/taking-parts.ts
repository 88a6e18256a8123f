/**
 * 20 Linking §6. The device that receives: one part, checked and taken over in one commit.
 */
import {
  equalBytes,
  LimitError,
  samePublicBytes,
  VerificationError,
  wipe,
  type Bytes,
  type PublicKey,
} from '@qasid/protocol';
import {
  decodeSignedDeviceList,
  parseAccountText,
  verifyDeviceList,
} from '@qasid/protocol/envelope';

import {
  newConversation,
  takeSettings,
  takeTimer,
  type ConversationState,
} from '../content/conversation-state.js';
import { termsOf } from '../content/terms.js';
import type { Platform } from '../engine.js';
import { PLACE_STEP, type Contact, type Profile, type RecordRow } from '../stores/port.js';
import { applyWaiting } from '../timeline/apply.js';
import { Batch, joinExtras, SPACE } from '../timeline/batch.js';
import { GROUP_SPACE } from '../groups/stored.js';
import { setDeviceFacts } from '../timeline/device-facts.js';
import { PART_SPACE } from '../timeline/sync-devices.js';
import { openBox } from './box.js';
import { accountSync, ownSync } from './device-sync.js';
import { decodeItems, type TransferItem } from './items.js';
import { groupToTravel, partContext, transferKeys } from './sending-parts.js';
import { ARRIVAL, encodeArrival, type Arrival } from './transfer-state.js';

/** Say how far it came after so many parts. Half of the sender's window. */
const TELL_EVERY = 4;

/** Largest stretch without a whole item. */
const TAIL_BYTES_MAX = 4 * 1_048_576;

/**
 * Take one part.
 *
 * @returns the state after it, and ids of groups that are new here.
 * @throws VerificationError `VERIFY_SIGNATURE`, DecodeError, LimitError: it is not what was sent, and nothing
 * was taken; StoreError `STORE_CONFLICT`: try again.
 */
export async function takePart(
  platform: Platform,
  profile: Profile,
  from: { readonly arrival: Arrival; readonly row: RecordRow; readonly part: RecordRow },
): Promise<{ readonly arrival: Arrival; readonly groups: readonly string[] }> {
  const { crypto, store, clock } = platform;
  const { arrival, row, part } = from;
  const bytes = openPart(platform, profile, arrival, part.value);
  const { items, rest } = decodeItems(joinTail(arrival.tail, bytes));
  if (rest.length > TAIL_BYTES_MAX) {
    throw new LimitError('LIMIT_ENVELOPE_SIZE', 'an item of a transfer does not end');
  }
  const taking = new Taking(platform, profile, arrival);
  for (const item of items) await taking.take(item);
  const next: Arrival = {
    ...taking.arrival,
    next: arrival.next + 1,
    hash: crypto.sha256(arrival.hash, bytes),
    tail: rest,
  };
  const isTold = next.done || next.next % TELL_EVERY === 0;
  const action = { kind: 'arrived', transfer: arrival.id, next: next.next } as const;
  const told = isTold
    ? [ownSync(profile, accountSync(crypto, profile.account, clock.now(), action))]
    : [];
  await store.commit({
    identities: taking.identities,
    extra: joinExtras(taking.batch.toExtra(), {
      contacts: taking.contacts,
      outboxAdded: told,
      records: [
        { space: PART_SPACE, key: part.key, value: undefined, expectedVersion: part.version },
        {
          space: SPACE.meta,
          key: ARRIVAL,
          value: encodeArrival(next),
          expectedVersion: row.version,
        },
      ],
    }),
  });
  return { arrival: next, groups: taking.groups };
}

function openPart(
  { crypto }: Platform,
  profile: Profile,
  arrival: Arrival,
  data: Uint8Array,
): Uint8Array {
  const key = transferKeys(crypto, arrival.key);
  const context = partContext(arrival.id, arrival.next, profile.device);
  const opened = openBox(crypto, key, context, data);
  wipe(key);
  // ATK-G08: the number, the device and everything that came before are what they were when it was sealed.
  if (opened === undefined || !equalBytes(opened.subarray(0, 32), arrival.hash)) {
    throw new VerificationError('VERIFY_SIGNATURE', 'a part of the history is not as it was sent');
  }
  return opened.subarray(32);
}

function joinTail(tail: Bytes | undefined, bytes: Uint8Array): Uint8Array {
  if (tail === undefined) return bytes;
  const whole = new Uint8Array(tail.length + bytes.length);
  whole.set(tail);
  whole.set(bytes, tail.length);
  return whole;
}

/** The items of one part, as one commit. */
class Taking {
  readonly batch: Batch;
  readonly contacts: Contact[] = [];
  readonly identities: { readonly name: string; readonly identityKey: PublicKey }[] = [];
  /** Ids of groups that are new here. */
  readonly groups: string[] = [];
  arrival: Arrival;
  readonly #platform: Platform;
  readonly #profile: Profile;

  constructor(platform: Platform, profile: Profile, arrival: Arrival) {
    this.#platform = platform;
    this.#profile = profile;
    this.batch = new Batch(platform.store);
    this.arrival = arrival;
  }

  async take(item: TransferItem): Promise<void> {
    switch (item.kind) {
      case 'device':
        return setDeviceFacts(this.batch, item.device, item.facts);
      case 'contact':
        return this.#contact(item.contact, item.identity);
      case 'conversation': {
        const before = await this.batch.conversation(item.peer);
        return this.batch.setConversation(item.peer, mergeConversation(before, item.state));
      }
      case 'record':
        return this.#group(item);
      case 'message':
        return this.#message(item);
      case 'total':
        this.arrival = { ...this.arrival, total: item.messages };
        return;
      case 'end':
        if (item.messages !== this.arrival.messages) {
          throw new VerificationError('VERIFY_SIGNATURE', 'the history is not complete');
        }
        this.arrival = { ...this.arrival, done: true };
    }
  }

  /** A group, unless somebody has brought this device in already. Records of other kinds do not travel. */
  async #group({ space, key, value }: Extract<TransferItem, { readonly kind: 'record' }>) {
    if (space !== GROUP_SPACE.group || (await this.batch.record(space, key)) !== undefined) return;
    await this.batch.setRecord(space, key, groupToTravel(this.#platform.crypto, value));
    this.groups.push(key);
  }

  async #contact(contact: Contact, identity: PublicKey): Promise<void> {
    const { store, crypto } = this.#platform;
    const { account } = contact;
    if (account === this.#profile.account || contact.signedDeviceList === undefined) return;
    verifyDeviceList(crypto, decodeSignedDeviceList(contact.signedDeviceList), {
      account: parseAccountText(account),
      identityKey: identity,
      versionMin: contact.deviceListVersion,
    });
    const known = await store.loadIdentity(account);
    const before = await store.loadContact(account);
    if (known !== undefined && !samePublicBytes(known, identity)) {
      // The account knew this person before: their key counts, and a person decides about the other one.
      this.identities.push({ name: account, identityKey: identity });
      this.contacts.push({ ...contact, offeredIdentity: known });
      return;
    }
    if (known === undefined) this.identities.push({ name: account, identityKey: identity });
    if ((before?.deviceListVersion ?? 0) < contact.deviceListVersion) this.contacts.push(contact);
  }

  async #message(item: Extract<TransferItem, { readonly kind: 'message' }>): Promise<void> {
    const { row, read } = item;
    const place = Math.min(this.arrival.place + 1, PLACE_STEP - 1);
    this.arrival = { ...this.arrival, place, messages: this.arrival.messages + 1 };
    if ((await this.batch.message(row.peer, row.author, row.id)) !== undefined) return;
    // Not `arrived`: nobody is told of it as of a new message.
    const changed = await applyWaiting(this.batch, { ...row, arrived: false, place });
    const { seq: _, revision: __, ...rest } = changed;
    this.batch.add({ ...rest, terms: termsOf(changed.text) });
    const state = (await this.batch.conversation(row.peer)) ?? newConversation('accepted');
    const isBehind = place <= state.readThrough.place;
    if (row.direction === 'sent' || isBehind) {
      await this.batch.setConversation(row.peer, state);
      return;
    }
    const readThrough = read ? { place, seq: Number.MAX_SAFE_INTEGER } : state.readThrough;
    const unread = state.unread + (read ? 0 : 1);
    await this.batch.setConversation(row.peer, { ...state, readThrough, unread });
  }
}

/** A conversation as the other device has it, over what this one has seen of it. */
function mergeConversation(
  before: ConversationState | undefined,
  theirs: ConversationState,
): ConversationState {
  const unreadHere = { unread: 0, readThrough: { place: 0, seq: 0 } };
  if (before === undefined) return { ...theirs, ...unreadHere };
  const decided =
    before.settingsAt.atMs === 0
      ? { ...before, settings: theirs.settings, settingsAt: theirs.settingsAt }
      : takeSettings(before, theirs.settings, theirs.settingsAt);
  const timed = takeTimer(decided, theirs.timer, theirs.timerId);
  return {
    ...timed,
    lastActivityMs: Math.max(before.lastActivityMs, theirs.lastActivityMs),
    profileName: before.profileName ?? theirs.profileName,
    profileAt: before.profileAt ?? theirs.profileAt,
  };
}
