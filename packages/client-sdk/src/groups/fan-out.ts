/**
 * 19 Groups §6. A message of a group from the outbox to all devices of all members: encrypted and signed once,
 * one body for everybody.
 *
 * It is encrypted when it leaves, not when it is written: a device that was away learns first who is in the
 * group now. What was encrypted and not confirmed is encrypted again when the key was replaced meanwhile.
 */
import {
  LimitError,
  QasidError,
  StateError,
  StoreError,
  createSenderKey,
  decodeSenderKeyRecord,
  distributionMessage,
  encodeSenderKeyRecord,
  fromHex,
  groupEncrypt,
  samePublicBytes,
  toHex,
  utf8,
  wipe,
  type Bytes,
} from '@qasid/protocol';
import { ENVELOPE_BUCKETS, encodeEnvelope, parseAccountText } from '@qasid/protocol/envelope';

import { untilCommitted } from '../committed.js';
import { decodeContent, encodeContent, padContent } from '../content/index.js';
import { GroupError, NetworkError } from '../errors.js';
import { refusal } from '../refusals.js';
import { makeLink } from '../outgoing.js';
import type { ClientExtra, Contact, OutboxRow } from '../stores/port.js';
import { isLinked } from '../timeline/apply.js';
import { joinExtras } from '../timeline/batch.js';
import { headOf, type GroupLinkInChain } from './chain.js';
import { holderName, mustRotate, recipientsOf } from './keys.js';
import { FAN_OUT_AT_ONCE } from './limits.js';
import { decodePacket, encodePacket, type Packet, type SealedPacket } from './packet.js';
import { contextOf } from './shared.js';
import { signalContent, signalRow, type GroupDeps } from './store.js';
import {
  GROUP_SPACE,
  NO_HOLDERS,
  decodeHolders,
  decodeOutgoingKey,
  encodeHolders,
  encodeOutgoingKey,
  type Holders,
} from './stored.js';

/** Makes client ids out of the secret seed of a message. */
const LABEL_CLIENT_ID: Bytes = utf8('qasid/group-client-id/1');

/** Times the relay may say that our picture of somebody's devices is wrong, per message. */
const DEVICE_ROUNDS_MAX = 3;

/** Sends the messages of groups. Only the owner of the connection runs one. */
export class FanOut {
  readonly #deps: GroupDeps;
  /** Accounts that have a message already, by row: a retry need not begin anew. */
  readonly #done = new Map<number, Set<string>>();

  constructor(deps: GroupDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves when the relay has the message for every member whose mailbox takes it.
   *
   * @throws GroupError when it can never go; NetworkError, StoreError when it can go later.
   */
  async deliver(row: OutboxRow): Promise<void> {
    // ATK-E04: whoever was removed while this device was away gets nothing more.
    if (!this.#deps.isCaughtUp()) throw new NetworkError('NET_BUSY', 'not caught up yet');
    const { sealed, contacts } = await untilCommitted(() => this.#ready(row));
    await this.#send(row, sealed, contacts);
    this.#done.delete(row.id);
  }

  /** The message encrypted under a key that may be used, in the row and durable. */
  async #ready(
    row: OutboxRow,
  ): Promise<{ readonly sealed: SealedPacket; readonly contacts: readonly Contact[] }> {
    const { store, groups, clock, self } = this.#deps;
    const group = row.username ?? '';
    const stored = await groups.load(group);
    if (stored === undefined) throw new GroupError('GROUP_UNKNOWN', 'no such group here');
    const { chain } = stored.data;
    if (chain.fork !== undefined) throw new NetworkError('NET_BUSY', 'the group is forked');
    const head = headOf(chain);
    checkMaySend(head, self.account);
    const contacts = await this.#contacts([...head.state.members.keys()]);
    const recipients = recipientsOf(contacts, self);
    const own = contacts.find(({ account }) => account === self.account);
    const ownDevices = own?.deviceListVersion ?? 0;
    const keyRow = await store.loadRecord(GROUP_SPACE.outgoing, group);
    const holdersRow = await store.loadRecord(GROUP_SPACE.holders, group);
    const before = keyRow && decodeOutgoingKey(keyRow.value);
    const holders = decodeHolders(holdersRow?.value);
    const nowMs = clock.now();
    const now = { recipients, epoch: head.state.epoch, ownDevices, nowMs };
    const key = before && !mustRotate(before, holders, now) ? before : undefined;
    const [current] = await store.loadOutbox({ after: row.id - 1, limit: 1 });
    const packet = decodePacket((current?.id === row.id ? current : row).content);
    const isCurrent =
      key !== undefined &&
      packet.sealed !== undefined &&
      samePublicBytes(packet.sealed.distributionId, key.distributionId);
    if (isCurrent && packet.sealed !== undefined) return { sealed: packet.sealed, contacts };
    this.#done.delete(row.id);
    const versions = { key: keyRow?.version ?? 0, holders: holdersRow?.version ?? 0 };
    const fresh = key ?? {
      distributionId: this.#deps.crypto.randomBytes(16),
      epoch: head.state.epoch,
      createdAtMs: nowMs,
      count: 0,
      ownDevices,
      record: undefined,
    };
    const kept = key === undefined ? NO_HOLDERS : holders;
    const sealed = await this.#seal(row, packet, head, fresh, kept, recipients, versions);
    return { sealed, contacts };
  }

  /** One commit: the key moved on, the link, who gets the key, and the ciphertext. */
  async #seal(
    row: OutboxRow,
    packet: Packet,
    head: GroupLinkInChain,
    key: Omit<ReturnType<typeof decodeOutgoingKey>, 'record'> & {
      readonly record: Bytes | undefined;
    },
    holders: Holders,
    recipients: ReadonlyMap<string, Contact>,
    versions: { readonly key: number; readonly holders: number },
  ): Promise<SealedPacket> {
    const { store, crypto, self } = this.#deps;
    const group = row.username ?? '';
    const { distributionId } = key;
    const record =
      key.record === undefined ? createSenderKey(crypto) : decodeSenderKeyRecord(key.record);
    const handOut = signalContent(this.#deps, {
      groupId: head.state.groupId,
      body: {
        kind: 'distribution',
        epoch: key.epoch,
        head: fromHex(head.hash) ?? new Uint8Array(32),
        message: distributionMessage(record, distributionId),
      },
    });
    const { content, extra, check } = await this.#linked(group, packet, head);
    const encrypted = groupEncrypt(crypto, record, distributionId, padContent(content));
    const body = encodeEnvelope(
      {
        type: 7,
        senderAccount: parseAccountText(self.account),
        senderDevice: self.device,
        message: encrypted.output,
      },
      ENVELOPE_BUCKETS,
    );
    const sealed = { distributionId, body, seed: crypto.randomBytes(32), handOut };
    const lacking = [...recipients].filter(([name]) => !holders.devices.has(name));
    const next = handedTo(
      holders,
      handOut,
      lacking.map(([name]) => name),
    );
    const accounts = new Set(lacking.map(([, contact]) => contact.account));
    const value = encodeOutgoingKey({
      ...key,
      count: key.count + 1,
      record: encodeSenderKeyRecord(encrypted.state),
    });
    await check();
    await store.commit({
      extra: joinExtras(extra, {
        records: [
          { space: GROUP_SPACE.outgoing, key: group, value, expectedVersion: versions.key },
          ...(lacking.length > 0 || key.record === undefined
            ? [
                {
                  space: GROUP_SPACE.holders,
                  key: group,
                  value: encodeHolders(next),
                  expectedVersion: versions.holders,
                },
              ]
            : []),
        ],
        outboxAdded: [...accounts].map((account) => signalRow(account, handOut)),
        outboxChanged: [{ ...row, content: encodePacket(content, sealed) }],
      }),
    });
    wipe(...encrypted.consumed);
    if (accounts.size > 0) this.#deps.pump();
    return sealed;
  }

  /** The content with its place in our chain, and the head it is written at. Those are given once. */
  async #linked(
    group: string,
    packet: Packet,
    head: GroupLinkInChain,
  ): Promise<{ readonly content: Bytes; readonly extra: ClientExtra; check(): Promise<void> }> {
    const { store, crypto } = this.#deps;
    const before = decodeContent(packet.content);
    const nothing = { content: packet.content, extra: {}, check: async () => undefined };
    if (before.link !== undefined || packet.sealed !== undefined) return nothing;
    const core = encodeContent({ ...before, ...contextOf(head) });
    if (!isLinked(before)) return { ...nothing, content: core };
    const link = await makeLink({ store, crypto }, group, core);
    const row = await store.loadSentMessage(toHex(before.id));
    // What is kept here is what the others get, or nobody could quote it.
    const same = row?.raw === undefined || row.peer !== group;
    const replaced = same ? {} : { messagesReplaced: [{ row: { ...row, raw: core } }] };
    return {
      content: link.content,
      extra: joinExtras(link.extra, replaced),
      check: () => link.check(),
    };
  }

  /** Contacts of members, as far as anybody can say who they are. */
  async #contacts(accounts: readonly string[]): Promise<readonly Contact[]> {
    const { store, directory } = this.#deps;
    const contacts: Contact[] = [];
    for (const account of accounts) {
      const known = await store.loadContact(account);
      const isEnough = known !== undefined && known.devices.length > 0;
      const offered = known?.offeredIdentity;
      // One lie of the past must not shut a member out until a person trusts the liar.
      const asked = offered && directory.recheck(account, offered);
      const contact =
        asked === undefined && isEnough
          ? known
          : await unlessLost(asked ?? directory.resolve(account));
      if (contact !== undefined) contacts.push(contact);
    }
    return contacts;
  }

  async #send(row: OutboxRow, sealed: SealedPacket, contacts: readonly Contact[]): Promise<void> {
    const done = this.#done.get(row.id) ?? new Set<string>();
    this.#done.set(row.id, done);
    const left = contacts.filter(({ account }) => !done.has(account));
    let refused = 0;
    let later: unknown;
    let last: unknown;
    const worker = async (): Promise<void> => {
      for (let contact = left.shift(); contact !== undefined; contact = left.shift()) {
        try {
          await this.#sendTo(row, sealed, contact);
          done.add(contact.account);
        } catch (error) {
          if (!isFinal(error)) later = error;
          else {
            // One full mailbox must not keep a message from everybody else.
            done.add(contact.account);
            refused++;
            last = error;
          }
        }
        if (later !== undefined) return;
      }
    };
    await Promise.all(Array.from({ length: FAN_OUT_AT_ONCE }, worker));
    if (later !== undefined) throw later;
    if (refused > 0) this.#deps.trouble(last);
  }

  async #sendTo(row: OutboxRow, sealed: SealedPacket, member: Contact): Promise<void> {
    const { self, crypto, directory } = this.#deps;
    let contact = member;
    for (let round = 0; ; round++) {
      const { account } = contact;
      if (contact.offeredIdentity !== undefined) return;
      const devices = contact.devices.filter(
        ({ device }) => account !== self.account || device !== self.device,
      );
      if (devices.length === 0) return;
      const parts = devices.map(({ device, registrationId }) => ({
        device,
        registrationId,
        clientId: clientIdOf(crypto, sealed.seed, account, device, registrationId),
        body: sealed.body,
      }));
      const answer = await this.#deps.post(account, parts);
      if (answer.code === 'CONFIRMED') return;
      const { body } = answer;
      if (body.kind !== 'mismatch' && body.kind !== 'stale') throw refusal(answer);
      if (round >= DEVICE_ROUNDS_MAX) {
        throw new LimitError('LIMIT_BUSY', 'relay and device list do not agree');
      }
      contact = await directory.refresh(account);
      await untilCommitted(() => this.#handOver(row, sealed, contact));
    }
  }

  /** A device turned up that lacks the key: it gets it, from this message on. */
  async #handOver(row: OutboxRow, sealed: SealedPacket, contact: Contact): Promise<void> {
    const { store, self } = this.#deps;
    const group = row.username ?? '';
    const found = await store.loadRecord(GROUP_SPACE.holders, group);
    const holders = decodeHolders(found?.value);
    const names = [...recipientsOf([contact], self).keys()];
    const lacking = names.filter((name) => !holders.devices.has(name));
    if (lacking.length === 0) return;
    const value = encodeHolders(handedTo(holders, sealed.handOut, lacking));
    const expectedVersion = found?.version ?? 0;
    await store.commit({
      extra: {
        records: [{ space: GROUP_SPACE.holders, key: group, value, expectedVersion }],
        outboxAdded: [signalRow(contact.account, sealed.handOut)],
      },
    });
    this.#deps.pump();
  }
}

/** @throws GroupError when this account has nothing to say in the group. */
export function checkMaySend({ state }: GroupLinkInChain, account: string): void {
  const role = state.members.get(account);
  if (role === undefined)
    throw new GroupError('GROUP_NOT_MEMBER', 'this account is not in the group');
  if (state.policy.send === 'admins' && role !== 'admin') {
    throw new GroupError('GROUP_NOT_ALLOWED', 'only admins write in this group');
  }
}

function handedTo(holders: Holders, handOut: Bytes, names: readonly string[]): Holders {
  if (names.length === 0) return holders;
  const at = holders.handed.findIndex((other) => samePublicBytes(other, handOut));
  const handed = at < 0 ? [...holders.handed, handOut] : holders.handed;
  const index = at < 0 ? handed.length - 1 : at;
  const devices = new Map(holders.devices);
  for (const name of names) devices.set(name, index);
  return { handed, devices };
}

/** A retry under the same id is no second message; nobody without the seed can guess it. */
function clientIdOf(
  crypto: GroupDeps['crypto'],
  seed: Bytes,
  account: string,
  device: number,
  registrationId: number,
): Bytes {
  const name = utf8(holderName(account, device, registrationId));
  return crypto.hmacSha256(seed, LABEL_CLIENT_ID, name).slice(0, 16);
}

/** Nothing to send to: an account that is gone, or whose key a person must look at first. */
async function unlessLost(found: Promise<Contact>): Promise<Contact | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isFinal(error)) return undefined;
    throw error;
  }
}

function isFinal(error: unknown): boolean {
  if (error instanceof StoreError || error instanceof StateError) return false;
  if (error instanceof NetworkError) return error.code === 'NET_REFUSED';
  return error instanceof QasidError;
}
