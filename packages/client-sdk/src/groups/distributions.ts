/**
 * 19 Groups §6. Sender keys: taking those of others, and answering who lacks ours.
 */
import {
  EMPTY_SENDER_KEY_RECORD,
  ProtoWriter,
  VerificationError,
  decodeSenderKeyRecord,
  encodeSenderKeyRecord,
  processDistributionMessage,
  samePublicBytes,
  toHex,
  wipe,
  type Bytes,
} from '@qasid/protocol';

import { untilCommitted } from '../committed.js';
import { Fields } from '../content/fields.js';
import type { RecordChange } from '../stores/port.js';
import { headOf } from './chain.js';
import { keyWant } from './incoming.js';
import { SENDER_KEYS_PER_DEVICE_MAX } from './limits.js';
import { linkOf } from './shared.js';
import type { DistributionSignal } from './signals.js';
import { signalRow, type GroupDeps } from './store.js';
import {
  GROUP_SPACE,
  decodeHolders,
  decodeIncomingKey,
  decodeOutgoingKey,
  encodeIncomingKey,
} from './stored.js';

/** The device whose session brought something. */
export interface Sender {
  readonly account: string;
  readonly device: number;
}

/**
 * Take the sender key of the device that sent it, and of nobody else (ATK-E02).
 *
 * @returns the name of what waited for it.
 * @throws VerificationError `VERIFY_GROUP` from an account that is not in the group, or under an id that belongs
 * to another device, group or epoch (ATK-E06).
 */
export async function takeDistribution(
  deps: GroupDeps,
  sender: Sender,
  group: string,
  signal: DistributionSignal,
): Promise<string> {
  const { store } = deps;
  return untilCommitted(async () => {
    const stored = await deps.groups.load(group);
    const { account, device } = sender;
    const head = stored && headOf(stored.data.chain);
    const at = stored && linkOf(stored.data.chain, toHex(signal.head));
    // A head that is yet to come is judged when a message names it.
    const isMember = (at === undefined || at.state.members.has(account)) && head !== undefined;
    if (!isMember || (at !== undefined && !head.state.members.has(account))) {
      throw refused('from somebody who is not in the group');
    }
    if (at !== undefined && at.state.epoch !== signal.epoch) throw refused('epoch');
    const fresh = processDistributionMessage(EMPTY_SENDER_KEY_RECORD, signal.message);
    const id = toHex(fresh.output.distributionId);
    const row = await store.loadRecord(GROUP_SPACE.incoming, id);
    const before = row && decodeIncomingKey(row.value);
    const isBound =
      before === undefined ||
      (before.account === account &&
        before.device === device &&
        before.group === group &&
        before.epoch === signal.epoch);
    if (!isBound) throw refused('its id is bound already');
    const known = before ? decodeSenderKeyRecord(before.record) : EMPTY_SENDER_KEY_RECORD;
    // ATK-E03: a chain that is known stays where it is.
    const taken = processDistributionMessage(known, signal.message);
    if (before !== undefined && !taken.output.newChain) return keyWant(id);
    const value = encodeIncomingKey({
      account,
      device,
      group,
      epoch: signal.epoch,
      record: encodeSenderKeyRecord(taken.state),
    });
    const records: RecordChange[] = [
      { space: GROUP_SPACE.incoming, key: id, value, expectedVersion: row?.version ?? 0 },
    ];
    if (before === undefined) records.push(...(await listed(deps, sender, group, id)));
    await store.commit({ extra: { records } });
    wipe(...taken.consumed);
    return keyWant(id);
  });
}

/** Remember a device's keys in their order, and forget the oldest. ATK-E08. */
async function listed(
  deps: GroupDeps,
  { account, device }: Sender,
  group: string,
  id: string,
): Promise<readonly RecordChange[]> {
  const { store } = deps;
  const key = `${group}/${account}/${device}`;
  const row = await store.loadRecord(GROUP_SPACE.incomingList, key);
  const ids = [...(row ? decodeList(row.value) : []), id];
  const forgotten = ids.slice(0, -SENDER_KEYS_PER_DEVICE_MAX);
  const records: RecordChange[] = [
    {
      space: GROUP_SPACE.incomingList,
      key,
      value: encodeList(ids.slice(-SENDER_KEYS_PER_DEVICE_MAX)),
      expectedVersion: row?.version ?? 0,
    },
  ];
  for (const old of forgotten) {
    const found = await store.loadRecord(GROUP_SPACE.incoming, old);
    if (found === undefined) continue;
    const { version: expectedVersion } = found;
    records.push({ space: GROUP_SPACE.incoming, key: old, value: undefined, expectedVersion });
  }
  return records;
}

/**
 * Hand our key out again, as it was handed to this account: whoever joined later gets nothing older (ATK-E05).
 *
 * @returns whether there was anything to hand out.
 */
export async function answerWant(
  deps: GroupDeps,
  sender: Sender,
  distributionId: Bytes,
): Promise<boolean> {
  const { store } = deps;
  for (const { key: group, value } of await store.loadRecords(GROUP_SPACE.outgoing)) {
    if (!samePublicBytes(decodeOutgoingKey(value).distributionId, distributionId)) continue;
    const stored = await deps.groups.load(group);
    const isMember =
      stored !== undefined && headOf(stored.data.chain).state.members.has(sender.account);
    if (!isMember) return false;
    const holders = decodeHolders((await store.loadRecord(GROUP_SPACE.holders, group))?.value);
    const prefix = `${sender.account}/${sender.device}/`;
    const name = [...holders.devices.keys()].find((one) => one.startsWith(prefix));
    const handOut = name && holders.handed[holders.devices.get(name) ?? -1];
    // A device that never had it gets it with the next message.
    if (handOut === undefined || handOut === '') return false;
    await store.commit({ extra: { outboxAdded: [signalRow(sender.account, handOut)] } });
    deps.pump();
    return true;
  }
  return false;
}

function encodeList(ids: readonly string[]): Bytes {
  const writer = new ProtoWriter(256);
  for (const id of ids) writer.text(1, id);
  return writer.finish();
}

function decodeList(encoded: Uint8Array): readonly string[] {
  const fields = new Fields(encoded, { 1: 'bytes' }, { 1: SENDER_KEYS_PER_DEVICE_MAX });
  return fields.views(1).map((view) => new TextDecoder().decode(view));
}

function refused(why: string): VerificationError {
  return new VerificationError('VERIFY_GROUP', `sender key refused: ${why}`);
}
