/**
 * One content to many devices: which sessions are missing, and the ciphertexts in one commit.
 */
import {
  samePublicBytes,
  toAddress,
  type Bytes,
  type CryptoProvider,
  type EncryptTarget,
  type Operations,
  type PreKeyBundle,
} from '@qasid/protocol';
import { ENVELOPE_BUCKETS, encodeEnvelope, parseAccountText } from '@qasid/protocol/envelope';

import { CONTENT_ID_BYTES, encodeContent, padContent } from './content/index.js';
import type { StallWatch } from './stalls.js';
import type { ClientExtra, ClientStore, Contact, ListedDevice, OutboxPart } from './stores/port.js';
import { idBytes } from './timeline/ids.js';

/** What sealing needs. */
export interface SealingDeps {
  readonly crypto: CryptoProvider;
  readonly store: ClientStore;
  readonly operations: Operations<ClientExtra>;
  readonly self: { readonly account: string; readonly device: number };
  readonly stalls: StallWatch;
}

/** One account and what its devices get. */
export interface Recipient {
  readonly contact: Contact;
  /** Encoded content, not padded. */
  readonly content: Bytes;
  /** Devices to encrypt for; all but this one by default. */
  readonly devices?: readonly ListedDevice[];
  /** New sessions, by device. */
  readonly bundles?: ReadonlyMap<number, PreKeyBundle>;
  /** Client ids to keep, by device. */
  readonly clientIds?: ReadonlyMap<number, Bytes>;
}

/** The devices of `contact` that a message goes to: all of them, but not the one that sends. */
export function devicesOf(deps: SealingDeps, contact: Contact): readonly ListedDevice[] {
  const { self } = deps;
  if (contact.account !== self.account) return contact.devices;
  return contact.devices.filter(({ device }) => device !== self.device);
}

/**
 * Devices of `contact` with which a session must first be made: none, gone stale, made with an earlier
 * installation, or made with an identity key that is no longer the trusted one.
 */
export async function devicesWithoutSession(
  deps: SealingDeps,
  contact: Contact,
  nowMs: number,
): Promise<readonly ListedDevice[]> {
  const trusted = await deps.store.loadIdentity(contact.account);
  const missing: ListedDevice[] = [];
  for (const listed of devicesOf(deps, contact)) {
    const remote = toAddress(contact.account, listed.device);
    const usable = await deps.operations.hasUsableSession(remote, nowMs);
    const session = usable ? await deps.operations.sessionInfo(remote) : undefined;
    deps.stalls.look(remote, session?.postQuantum);
    const current =
      session !== undefined &&
      trusted !== undefined &&
      session.remoteRegistrationId === listed.registrationId &&
      samePublicBytes(session.remoteIdentity, trusted);
    if (!current) missing.push(listed);
  }
  return missing;
}

/**
 * Encrypt for all recipients in one commit, together with what `extra` makes of the ciphertexts.
 *
 * @param extra - Gets the parts per recipient, in order; called again when the commit is redone.
 * @throws as `Operations.encrypt`; LimitError `LIMIT_ENVELOPE_SIZE`.
 */
export async function sealFor(
  deps: SealingDeps,
  recipients: readonly Recipient[],
  nowMs: number,
  extra: (parts: readonly (readonly OutboxPart[])[]) => ClientExtra | Promise<ClientExtra>,
): Promise<void> {
  const slots: { readonly index: number; readonly listed: ListedDevice; readonly id: Bytes }[] = [];
  const targets: EncryptTarget[] = [];
  for (const [index, recipient] of recipients.entries()) {
    const { contact, bundles, clientIds } = recipient;
    const plaintext = padContent(recipient.content);
    for (const listed of recipient.devices ?? devicesOf(deps, contact)) {
      const id = clientIds?.get(listed.device) ?? deps.crypto.randomBytes(16);
      const bundle = bundles?.get(listed.device);
      slots.push({ index, listed, id });
      targets.push({ remote: toAddress(contact.account, listed.device), plaintext, bundle });
    }
  }
  const toExtra = (
    messages: readonly { readonly type: 2 | 3; readonly bytes: Bytes }[],
  ): ClientExtra | Promise<ClientExtra> => {
    const parts: OutboxPart[][] = recipients.map(() => []);
    for (const [at, { index, listed, id }] of slots.entries()) {
      const message = messages[at];
      const list = parts[index];
      if (message === undefined || list === undefined) continue;
      list.push({
        device: listed.device,
        registrationId: listed.registrationId,
        clientId: id,
        body: encodeEnvelope(
          {
            type: message.type,
            senderAccount: parseAccountText(deps.self.account),
            senderDevice: deps.self.device,
            message: message.bytes,
          },
          ENVELOPE_BUCKETS,
        ),
      });
    }
    return extra(parts);
  };
  if (targets.length === 0) {
    await deps.store.commit({ extra: await toExtra([]) });
    return;
  }
  await deps.operations.encrypt(targets, nowMs, toExtra);
}

/** What our other devices get: what was sent, and to whom. */
export function copyContent(
  crypto: CryptoProvider,
  account: string,
  content: Bytes,
  at: number,
): Bytes {
  return encodeContent({
    id: crypto.randomBytes(CONTENT_ID_BYTES),
    sentAtMs: at,
    body: { kind: 'sent', account: idBytes(account), content },
  });
}
