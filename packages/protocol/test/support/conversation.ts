/** Two parties that have shaken hands, and what tests do with them. */
import type { Test } from 'tap';
import { toHex, utf8, type EncryptedMessage } from '@qasid/protocol';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { stepChain, type Chain } from '#src/double-ratchet.js';
import { decodeSessionRecord, encodeSessionRecord, type SessionRecord } from '#src/session.js';
import { sound } from '#src/wire/records.js';
import { NOW_MS, type Party } from './party.js';

/** Encrypt one text; with `fresh`, on a new session from a new bundle of `to`. */
export async function send(
  from: Party,
  to: Party,
  text: string,
  fresh?: { readonly preKey?: boolean; readonly kind?: 'one-time' | 'last-resort' },
): Promise<EncryptedMessage> {
  const bundle = fresh && (await to.bundle(fresh));
  const target = { remote: to.address, plaintext: utf8(text), bundle };
  const [message] = await from.operations.encrypt([target], NOW_MS);
  if (message === undefined) throw new Error('no message');
  return message;
}

/** Decrypt; the text. */
export async function open(to: Party, from: Party, message: EncryptedMessage): Promise<string> {
  const { type, bytes } = message;
  const opened = await to.operations.decrypt(from.address, type, bytes, NOW_MS);
  return new TextDecoder().decode(opened.plaintext);
}

/** Decrypt; the text, or the code of the error. */
export async function outcome(to: Party, from: Party, message: EncryptedMessage): Promise<string> {
  try {
    return await open(to, from, message);
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}

/** Handshake and first answer, so that both sides send type 2. */
export async function introduce(a: Party, b: Party): Promise<void> {
  await open(b, a, await send(a, b, 'hello', {}));
  await open(a, b, await send(b, a, 'hello yourself'));
}

/** Hex of the stored record of `party` for `peer`; empty when there is none. */
export async function storedHex(party: Party, peer: Party): Promise<string> {
  const stored = await party.store.loadSession(peer.address);
  return stored === undefined ? '' : toHex(stored.record);
}

/** The stored record of `party` for `peer`, decoded. */
export async function storedRecord(party: Party, peer: Party): Promise<SessionRecord> {
  const stored = await party.store.loadSession(peer.address);
  if (stored === undefined) throw new Error('no record');
  return decodeSessionRecord(stored.record);
}

/** Change the stored record of `party` for `peer` behind its back. */
export async function rewriteRecord(
  party: Party,
  peer: Party,
  change: (record: SessionRecord) => SessionRecord,
): Promise<void> {
  const stored = await party.store.loadSession(peer.address);
  if (stored === undefined) throw new Error('no record');
  const record = encodeSessionRecord(change(decodeSessionRecord(stored.record)));
  await party.store.commit({
    sessions: [{ address: peer.address, record, expectedVersion: stored.version }],
  });
}

/** As if `party` had sent `count` more messages to `peer` that all got lost. */
export async function loseMessages(
  crypto: CryptoProvider,
  party: Party,
  peer: Party,
  count: number,
): Promise<void> {
  await rewriteRecord(party, peer, (record) => {
    const { current } = record;
    if (current === undefined) throw new Error('no session');
    const sender = sound(current.sender, 'sender chain');
    let chain: Chain = sender.chain;
    for (let i = 0; i < count; i++) chain = stepChain(crypto, chain).state;
    return { ...record, current: { ...current, sender: { ...sender, chain } } };
  });
}

/** Run `body`, and assert that the stored record of `party` for `peer` and its identity did not change. */
export async function expectUnchanged(
  t: Test,
  party: Party,
  peer: Party,
  name: string,
  body: () => Promise<unknown>,
): Promise<void> {
  const before = await storedHex(party, peer);
  const identity = await party.store.loadIdentity(peer.address.name);
  const extras = party.extras.length;
  await body();
  t.equal(await storedHex(party, peer), before, `${name}: the record is the same`);
  t.equal(await party.store.loadIdentity(peer.address.name), identity, `${name}: the identity too`);
  t.equal(party.extras.length, extras, `${name}: nothing was handed out`);
}
