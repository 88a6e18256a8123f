/** Long histories, written through the rules that take messages in, hundreds in one commit. Runs in browsers too. */
import { defaultCrypto } from '@qasid/protocol';
import { accountText, generateAccountId } from '@qasid/protocol/envelope';
import { createAccount } from '../../../packages/client-sdk/dist/account.js';
import { adoptHistory } from '../../../packages/client-sdk/dist/adopt.js';
import { systemClock } from '../../../packages/client-sdk/dist/clock.js';
import { decodeContent, encodeContent } from '../../../packages/client-sdk/dist/content/index.js';
import { apply } from '../../../packages/client-sdk/dist/timeline/apply.js';
import { Batch } from '../../../packages/client-sdk/dist/timeline/batch.js';
import type { ClientStore } from '../../../packages/client-sdk/dist/index.js';
import { dice, rank, sentence } from './words.js';

/** Conversations; the first has most of the messages. */
export const CONVERSATIONS = 200;

/** Messages in one commit while filling. */
export const AT_ONCE = 250;

/** Who there is, and where the texts come from. */
export interface Filling {
  readonly self: string;
  readonly peers: readonly string[];
  readonly random: () => number;
}

/** A store with an account and people, before the first message. */
export async function beginHistory(store: ClientStore): Promise<Filling> {
  const profile = await createAccount(defaultCrypto, store, Date.now());
  await store.commit({ extra: { profile: { ...profile, registration: 'registered' } } });
  const peers = Array.from({ length: CONVERSATIONS }, () =>
    accountText(generateAccountId(defaultCrypto)),
  );
  const contacts = peers.map((account, index) => ({
    account,
    username: `person-${index}`,
    signedDeviceList: undefined,
    deviceListVersion: 1,
    devices: [{ device: 1, registrationId: 1, authKey: new Uint8Array(32) }],
    offeredIdentity: undefined,
  }));
  await store.commit({ extra: { contacts } });
  // What the first opening does, so that no measured one has it to do.
  await adoptHistory(store, systemClock);
  return { self: profile.account, peers, random: dice(1) };
}

/** Write `count` more. */
export async function fillHistory(
  store: ClientStore,
  filling: Filling,
  count: number,
): Promise<void> {
  for (let left = count; left > 0; left -= AT_ONCE) {
    await writeMessages(store, filling, Math.min(left, AT_ONCE));
  }
}

/** `count` messages in one commit, half of them received. */
export async function writeMessages(
  store: ClientStore,
  { self, peers, random }: Filling,
  count: number,
): Promise<void> {
  const batch = new Batch(store);
  const around = { crypto: defaultCrypto, self: { account: self, device: 1 }, nowMs: Date.now() };
  for (let index = 0; index < count; index++) {
    const peer = peers[rank(random(), peers.length)]!;
    const arrived = random() < 0.5;
    const bytes = encodeContent({
      id: defaultCrypto.randomBytes(16),
      sentAtMs: around.nowMs,
      body: { kind: 'text', text: sentence(random) },
    });
    const author = arrived ? peer : self;
    const content = decodeContent(bytes);
    await apply(batch, { peer, author, device: 1, content, bytes, arrived }, around);
  }
  const { records = [], messagesAdded = [], ...rest } = batch.toExtra();
  await store.commit({
    extra: {
      ...rest,
      messagesAdded: messagesAdded.map((row) =>
        row.direction === 'sent' ? { ...row, status: 'confirmed' as const } : row,
      ),
      // Nobody waits for these.
      records: records.filter(({ space }) => space !== 'receipts'),
    },
  });
}
