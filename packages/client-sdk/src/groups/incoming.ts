/**
 * 19 Groups §6. A message under a sender key: who wrote it, in which group, and whether they may.
 *
 * Nothing outside the ciphertext is believed. The author is the device whose session brought the sender key; the
 * group is the one that key was bound to, and the content must name it too. ATK-E02, ATK-E06, ATK-E14.
 */
import {
  LimitError,
  StateError,
  VerificationError,
  copyBytes,
  decodeSenderKeyRecord,
  encodeSenderKeyRecord,
  groupDecrypt,
  senderKeyDistributionId,
  toHex,
  wipe,
  type Bytes,
} from '@qasid/protocol';

import { untilCommitted } from '../committed.js';
import { decodeContent, unpadContent, type Content } from '../content/index.js';
import type { ClientExtra, RecordChange } from '../stores/port.js';
import { apply } from '../timeline/apply.js';
import { Batch, joinExtras } from '../timeline/batch.js';
import type { Entry, Happening } from '../timeline/types.js';
import { headOf, type GroupChain, type GroupLinkInChain } from './chain.js';
import { WAITING_PER_WANT_MAX, WANTS_MAX } from './limits.js';
import { contextOf, linkOf } from './shared.js';
import type { GroupDeps } from './store.js';
import {
  GROUP_SPACE,
  decodeIncomingKey,
  decodeWant,
  encodeIncomingKey,
  encodeWant,
  type IncomingKey,
  type Want,
} from './stored.js';

/** A message as it came. The sender is the envelope's claim. */
export interface GroupEnvelope {
  readonly account: string;
  readonly device: number;
  readonly message: Bytes;
  readonly clientId: Bytes;
  readonly body: Bytes;
  /** What it waited for until now; `undefined` when it has just come. */
  readonly waitedFor: string | undefined;
}

/** Bodies that mean something in a group. Everything else is between two accounts, or for own devices. */
const GROUP_BODIES: readonly Content['body']['kind'][] = [
  ...(['text', 'contact', 'location', 'poll', 'app', 'unknown'] as const),
  ...(['reaction', 'edit', 'delete', 'vote', 'timer', 'typing', 'profile'] as const),
];

/** Name of what waits for a sender key. */
export function keyWant(distributionId: string): string {
  return `key:${distributionId}`;
}

/** Name of what waits for an entry of a group. */
export function headWant(group: string): string {
  return `head:${group}`;
}

/**
 * Who was asked and did not help may be gone, or know no more than we: what came last shows who does.
 *
 * @returns the want as it is now; `undefined` when nothing is different.
 */
export function askNext(
  want: Want,
  { account, device }: { readonly account: string; readonly device: number },
): Want | undefined {
  const isOther = want.account !== account || want.device !== device;
  return isOther && want.askedAtMs > 0 ? { ...want, account, device } : undefined;
}

/**
 * Open one message, in one commit with `done`; or keep it until what it needs is here.
 *
 * @param done - What says that its envelope was dealt with.
 * @returns what happened that the store does not show; nothing while it waits.
 * @throws as `groupDecrypt`, but not `STATE_NO_SENDER_KEY`; VerificationError `VERIFY_GROUP` for a message its
 * sender may not write there; LimitError `LIMIT_BUSY` when too much waits.
 */
export async function openGroupMessage(
  deps: GroupDeps,
  envelope: GroupEnvelope,
  done: ClientExtra,
): Promise<readonly Happening[]> {
  const id = toHex(senderKeyDistributionId(envelope.message));
  return untilCommitted(async () => {
    const row = await deps.store.loadRecord(GROUP_SPACE.incoming, id);
    if (row === undefined) return keep(deps, envelope, done, keyWant(id), '');
    const key = decodeIncomingKey(row.value);
    if (key.account !== envelope.account || key.device !== envelope.device) {
      throw new VerificationError('VERIFY_SIGNATURE', 'the sender key is somebody else’s');
    }
    const opened = openUnder(deps, key, envelope.message);
    if (opened === undefined) return keep(deps, envelope, done, keyWant(id), key.group);
    const stored = await deps.groups.load(key.group);
    const at = stored && judge(stored.data.chain, key, opened.content);
    if (at === undefined) return keep(deps, envelope, done, headWant(key.group), key.group);
    const batch = new Batch(deps.store);
    const { crypto, self, clock } = deps;
    const entry = entryOf(key, opened.content, opened.bytes, at);
    const happenings = await apply(batch, entry, { crypto, self, nowMs: clock.now() });
    const change: RecordChange = {
      space: GROUP_SPACE.incoming,
      key: id,
      value: encodeIncomingKey({ ...key, record: opened.record }),
      expectedVersion: row.version,
    };
    const extra = joinExtras(batch.toExtra(), { records: [change] }, done);
    await deps.store.commit({ extra });
    wipe(...opened.consumed);
    return happenings;
  });
}

interface Opened {
  readonly content: Content;
  readonly bytes: Bytes;
  /** The sender key moved on. */
  readonly record: Bytes;
  readonly consumed: readonly Uint8Array[];
}

/** `undefined` when the chain of the message was never handed to this device. */
function openUnder(deps: GroupDeps, key: IncomingKey, message: Bytes): Opened | undefined {
  try {
    const opened = groupDecrypt(deps.crypto, decodeSenderKeyRecord(key.record), message);
    const bytes = copyBytes(unpadContent(opened.output));
    const record = encodeSenderKeyRecord(opened.state);
    return { content: decodeContent(bytes), bytes, record, consumed: opened.consumed };
  } catch (error) {
    if (error instanceof StateError && error.code === 'STATE_NO_SENDER_KEY') return undefined;
    throw error;
  }
}

/**
 * The entry at which the message was written; `undefined` when this device has yet to hear of it.
 *
 * @throws VerificationError `VERIFY_GROUP`
 */
function judge(
  chain: GroupChain,
  key: IncomingKey,
  content: Content,
): GroupLinkInChain | undefined {
  const { group } = content;
  if (group === undefined) throw refused('it names no group');
  // ATK-E06: a key of one group opens nothing in another.
  if (toHex(group.id) !== key.group) throw refused('it names another group than its key');
  const head = headOf(chain);
  const at = linkOf(chain, toHex(group.head));
  if (at === undefined) {
    const [oldest] = chain.line;
    const isPast = oldest !== undefined && group.version < oldest.entry.version;
    if (isPast || chain.rejected.includes(toHex(group.head))) throw refused('its head is not ours');
    return undefined;
  }
  // A key may be younger than the message: it was replaced while the message waited. Never older.
  const fits = at.entry.version === group.version && at.state.epoch === group.epoch;
  if (!fits || key.epoch < group.epoch) throw refused('version or epoch do not fit its head');
  // Whom the group removed, or told to be quiet, has nothing to say, whatever head they name.
  for (const { state } of [at, head]) {
    const role = state.members.get(key.account);
    if (role === undefined) throw refused('its sender is no member');
    if (state.policy.send === 'admins' && role !== 'admin') throw refused('only admins write');
  }
  if (!GROUP_BODIES.includes(content.body.kind)) throw refused('it is no message for a group');
  return at;
}

function entryOf(key: IncomingKey, content: Content, bytes: Bytes, at: GroupLinkInChain): Entry {
  const { account, device, group } = key;
  // The timer of a group is what its entries say, not what one sender says.
  const { timer } = contextOf(at);
  return {
    peer: group,
    author: account,
    device,
    content: { ...content, timer },
    bytes,
    arrived: true,
  };
}

/**
 * Keep the envelope, and remember what it waits for.
 *
 * @throws StateError `STATE_NO_SENDER_KEY` when it waited for that until nobody asks any more.
 */
async function keep(
  deps: GroupDeps,
  envelope: GroupEnvelope,
  done: ClientExtra,
  name: string,
  group: string,
): Promise<readonly Happening[]> {
  const { store, clock } = deps;
  const { account, device, clientId, body } = envelope;
  const found = await store.loadRecord(GROUP_SPACE.wants, name);
  if (envelope.waitedFor === name) {
    if (found !== undefined) return [];
    throw new StateError('STATE_NO_SENDER_KEY', 'nobody handed out what this message needs');
  }
  if (found === undefined && (await store.loadRecords(GROUP_SPACE.wants)).length >= WANTS_MAX) {
    throw new LimitError('LIMIT_BUSY', 'too much waits for sender keys');
  }
  const want: Want = found
    ? decodeWant(found.value)
    : { account, device, group, sinceMs: clock.now(), askedAtMs: 0, count: 0 };
  if (want.count >= WAITING_PER_WANT_MAX) {
    throw new LimitError('LIMIT_BUSY', 'too much waits for this sender key');
  }
  // A key has one owner; entries have all members.
  const asked = name === headWant(group) ? (askNext(want, { account, device }) ?? want) : want;
  const change: RecordChange = {
    space: GROUP_SPACE.wants,
    key: name,
    value: encodeWant({ ...asked, count: want.count + 1 }),
    expectedVersion: found?.version ?? 0,
  };
  const heldAdded = [{ account: name, clientId, body }];
  await store.commit({ extra: joinExtras(done, { records: [change], heldAdded }) });
  return [];
}

function refused(why: string): VerificationError {
  return new VerificationError('VERIFY_GROUP', `group message refused: ${why}`);
}
