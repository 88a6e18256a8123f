// What a member, a former member or the relay can do to a group beside what the SDK would do.
import {
  decodeSenderKeyRecord,
  defaultCrypto,
  groupDecrypt,
  groupEncrypt,
  senderKeyDistributionId,
  toHex,
} from '@qasid/protocol';
import {
  decodeEnvelope,
  ENVELOPE_BUCKETS,
  encodeEnvelope,
  parseAccountText,
} from '@qasid/protocol/envelope';
import type { OutboxPart } from '@qasid/client-sdk';
import type { Lies } from '@qasid/client-sdk/testing';

// Internals: reached by path, not by the public names.
import { encodeContent, padContent, type Content } from '../../dist/content/index.js';
import { headOf } from '../../dist/groups/chain.js';
import { encodeSignal, type SignalBody } from '../../dist/groups/signals.js';
import { GroupStore, signalRow } from '../../dist/groups/store.js';
import { decodeIncomingKey, decodeOutgoingKey, GROUP_SPACE } from '../../dist/groups/stored.js';
import type { Person } from './team.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** Sender-key messages that go to the relay through this. */
export class Tap {
  readonly messages: Bytes[] = [];

  readonly lies: Lies = {
    toRelay: (item) => {
      if (item.op.kind === 'send') {
        for (const { body } of item.op.parts) {
          if (body[0] === 0x22) continue;
          const { type, message } = decodeEnvelope(body);
          if (type === 7) this.messages.push(message);
        }
      }
      return [item];
    },
  };
}

/** How many of some messages the sender keys in somebody's store open, from wherever they stand. */
export async function opens(person: Person, messages: readonly Bytes[]): Promise<number> {
  let opened = 0;
  for (const message of messages) {
    const id = toHex(senderKeyDistributionId(message));
    const row = await person.store.loadRecord(GROUP_SPACE.incoming, id);
    if (row === undefined) continue;
    try {
      const record = decodeSenderKeyRecord(decodeIncomingKey(row.value).record);
      groupDecrypt(defaultCrypto, record, message);
      opened++;
    } catch {
      // Not with what is here.
    }
  }
  return opened;
}

/** Say something about a group through a session, whatever it is. */
export async function say(
  from: Person,
  to: Person,
  groupId: Bytes,
  body: SignalBody,
): Promise<void> {
  const content = encodeContent({
    id: defaultCrypto.randomBytes(16),
    sentAtMs: Date.now(),
    body: { kind: 'group', data: encodeSignal({ groupId, body }) },
  });
  await from.store.commit({ extra: { outboxAdded: [signalRow(to.account, content)] } });
}

/** The group as somebody has it. */
export async function groupOf(person: Person, id: string) {
  const stored = await new GroupStore(person.store, defaultCrypto).load(id);
  if (stored === undefined) throw new Error('no such group');
  return { ...stored.data, head: headOf(stored.data.chain) };
}

/** What a content of a group says of the group, at somebody's head. */
export async function contextFor(person: Person, id: string) {
  const { head } = await groupOf(person, id);
  const { groupId, epoch, version } = head.state;
  return { id: groupId, epoch, version, head: Uint8Array.from(Buffer.from(head.hash, 'hex')) };
}

/** A sender-key message that is not what the SDK would write: any content, under the sender's own key. */
export async function encryptAs(
  from: Person,
  group: string,
  content: Omit<Content, 'id' | 'sentAtMs'>,
): Promise<Bytes> {
  const row = await from.store.loadRecord(GROUP_SPACE.outgoing, group);
  const key = decodeOutgoingKey(row!.value);
  const encoded = encodeContent({
    id: defaultCrypto.randomBytes(16),
    sentAtMs: Date.now(),
    ...content,
  });
  const record = decodeSenderKeyRecord(key.record);
  const { output } = groupEncrypt(defaultCrypto, record, key.distributionId, padContent(encoded));
  return output;
}

/** Send a message to somebody's only device, in whoever's name. */
export async function post(
  from: Person,
  to: Person,
  type: 2 | 3 | 7,
  message: Bytes,
  name: Person = from,
): Promise<void> {
  const contact = await from.store.loadContact(to.account);
  const parts: OutboxPart[] = contact!.devices.map(({ device, registrationId }) => ({
    device,
    registrationId,
    clientId: defaultCrypto.randomBytes(16),
    body: encodeEnvelope(
      { type, senderAccount: parseAccountText(name.account), senderDevice: 1, message },
      ENVELOPE_BUCKETS,
    ),
  }));
  const row = { ...signalRow(to.account, new Uint8Array(0)), parts };
  await from.store.commit({ extra: { outboxAdded: [row] } });
}
