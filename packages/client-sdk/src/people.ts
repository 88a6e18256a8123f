/**
 * Other accounts: finding them, comparing keys, and what a person decides about a changed one.
 */
import type { CryptoProvider, PublicKey } from '@qasid/protocol';

import type { SafetyNumber } from './api.js';
import type { ConversationDeps } from './conversation.js';
import { newContact } from './directory.js';
import type { Engine } from './engine.js';
import { AccountError } from './errors.js';
import type { GroupApiDeps } from './groups/group.js';
import type { Sending } from './sending.js';
import type { ClientStore, Contact, Profile } from './stores/port.js';
import { acceptsChange, makeSafetyNumber, type TrustPolicy } from './trust.js';

/** How long to wait for the relay to say who somebody is. */
const RESOLVE_TIMEOUT_MS = 15_000;

/** What is needed of the client. */
export interface PeopleDeps extends ConversationDeps {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly sending: Sending;
  engine(): Engine;
  notInTime(what: string): Error;
}

/** A contact with a key: known, or fetched by whichever process is connected. Throws as `safetyNumber`. */
export async function findContact(deps: PeopleDeps, who: string): Promise<Contact> {
  const known = await deps.engine().directory.known(who);
  if (known !== undefined) return known;
  const found = await deps.sending.resolve(who, RESOLVE_TIMEOUT_MS);
  if (found === undefined) throw deps.notInTime('the relay could not be asked');
  return found;
}

/** What conversations and groups need. @throws AccountError `ACCOUNT_NOT_REGISTERED` */
export function chatsOf(people: PeopleDeps): GroupApiDeps {
  people.engine();
  const accountOf = async (who: string): Promise<string> =>
    (await findContact(people, who)).account;
  return { ...people, accountOf };
}

/** Throws as `QasidClient.safetyNumber`. */
export async function safetyNumberOf(
  deps: PeopleDeps,
  profile: Profile,
  who: string,
): Promise<SafetyNumber> {
  const contact = await findContact(deps, who);
  const trusted = await deps.store.loadIdentity(contact.account);
  if (trusted === undefined) throw new AccountError('ACCOUNT_UNKNOWN', 'no key of this account');
  const { store, crypto } = deps;
  const released = (): void => deps.engine().pump();
  return makeSafetyNumber({ store, crypto, released }, profile, contact, trusted);
}

/** A key changed that nobody had verified: the policy may take the new one. */
export async function decideChange(
  deps: PeopleDeps,
  policy: TrustPolicy,
  contact: Contact,
  offered: PublicKey,
): Promise<void> {
  if (await acceptsChange(deps.store, policy, contact, offered)) {
    await trustContact(deps, contact.account);
  }
}

/** Throws as `QasidClient.trust`. */
export async function trustContact(deps: PeopleDeps, who: string): Promise<void> {
  const { store } = deps;
  const contact = await deps.engine().directory.known(who);
  if (contact === undefined) {
    throw new AccountError('ACCOUNT_UNKNOWN', 'nobody known by that name');
  }
  const { account, username, offeredIdentity } = contact;
  const rows = await store.loadOutbox({ limit: 10_000 });
  // A row that waits may know no more than the name it was written to.
  const waiting = rows.filter((row) =>
    row.account === undefined ? row.username === username : row.account === account,
  );
  if (offeredIdentity === undefined && !waiting.some(({ held }) => held)) return;
  await store.commit({
    ...(offeredIdentity && { identities: [{ name: account, identityKey: offeredIdentity }] }),
    extra: {
      // Lists signed by the old key mean nothing under the new one; versions begin again.
      contacts: offeredIdentity === undefined ? [] : [{ ...newContact(account), username }],
      outboxChanged: waiting.map((row) => ({ ...row, held: false, parts: undefined })),
      outboxAdded: [
        {
          kind: 'resolve',
          messageId: '',
          account,
          username,
          content: new Uint8Array(0),
          parts: undefined,
          held: false,
          copied: true,
        },
      ],
    },
  });
}
