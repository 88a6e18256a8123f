/**
 * Testing kit. Rows with all fields filled.
 */
import {
  toAddress,
  type Bytes,
  type PrivateKey,
  type PublicKey,
  type SessionChange,
} from '@qasid/protocol';

import type { Contact, NewMessage, OutboxRow, Profile } from '../../stores/port.js';

/** `length` bytes, each of them `fill`. */
export function bytes(length: number, fill: number): Bytes {
  return new Uint8Array(length).fill(fill);
}

/** Something of the shape of a public key. */
export function publicKey(fill: number): PublicKey {
  const key = bytes(33, fill);
  key[0] = 5;
  return key as PublicKey;
}

/** This account. */
export const ACCOUNT: string = '00010203-0405-0607-0809-0a0b0c0d0e0f';
/** Another account. */
export const OTHER: string = 'ffffffff-0405-0607-0809-0a0b0c0d0e0f';

/** This device. */
export const PROFILE: Profile = {
  account: ACCOUNT,
  username: 'alice',
  device: 1,
  registrationId: 4711,
  identity: { public: publicKey(1), secret: bytes(32, 2) as PrivateKey },
  auth: { public: bytes(32, 3), secret: bytes(32, 4) },
  registration: 'local',
  prekeys: {
    nextPreKeyId: 101,
    nextSignedPreKeyId: 2,
    nextKemPreKeyId: 22,
    signed: [{ id: 1, createdAtMs: 1_700_000_000_000 }],
    lastResort: [{ id: 1, createdAtMs: 1_700_000_000_001 }],
  },
  relayEpoch: 1_800_000_000,
};

/** What is known of the other account. */
export const CONTACT: Contact = {
  account: OTHER,
  username: 'bob',
  signedDeviceList: bytes(90, 5),
  deviceListVersion: 3,
  devices: [
    { device: 1, registrationId: 9, authKey: bytes(32, 6) },
    { device: 2, registrationId: 0, authKey: bytes(32, 7) },
  ],
  offeredIdentity: publicKey(8),
};

/** A row that is ready to go. */
export function outboxRow(messageId: string): Omit<OutboxRow, 'id'> {
  return {
    kind: 'message',
    messageId,
    account: OTHER,
    username: 'bob',
    content: bytes(40, 9),
    parts: [{ device: 1, registrationId: 9, clientId: bytes(16, 10), body: bytes(512, 11) }],
    held: false,
    copied: true,
  };
}

/** A row of text. */
export function messageRow(id: string, arrived: boolean): NewMessage {
  return {
    id,
    kind: 'text',
    direction: arrived ? 'received' : 'sent',
    arrived,
    peer: OTHER,
    author: arrived ? OTHER : ACCOUNT,
    peerName: 'bob',
    device: 1,
    text: 'سلام',
    raw: bytes(20, 12),
    state: undefined,
    expiresAtMs: undefined,
    sentAtMs: 1_700_000_000_000,
    receivedAtMs: 1_700_000_000_500,
    status: arrived ? 'received' : 'pending',
    cause: undefined,
  };
}

/** A session of another one, read at `version`. */
export function session(version: number, fill: number, device = 1): SessionChange {
  return {
    address: toAddress(OTHER, device),
    record: bytes(64, fill),
    expectedVersion: version,
  };
}
