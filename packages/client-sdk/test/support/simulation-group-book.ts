// What a simulation knows of its groups: who was in them after each entry, and whom each message was encrypted for.
import { decodeSenderKeyRecord, defaultCrypto, groupDecrypt, toHex } from '@qasid/protocol';
import { decodeEnvelope } from '@qasid/protocol/envelope';
import type { ClientExtra } from '@qasid/client-sdk';

import { decodeContent } from '../../dist/content/index.js';
import { headOf, type GroupLinkInChain } from '../../dist/groups/chain.js';
import { decodePacket } from '../../dist/groups/packet.js';
import { GROUP_SPACE, decodeGroup, decodeIncomingKey } from '../../dist/groups/stored.js';
import type { Reader } from './simulation-book.js';

/** One encryption of a message. */
interface Sealing {
  readonly group: string;
  readonly author: string;
  readonly distributionId: string;
  readonly message: Uint8Array<ArrayBuffer>;
}

/** For whom a message was encrypted. */
interface Audience {
  /** Members at any of its encryptions: they may have it. */
  readonly reached: Set<string>;
  /** Members at the last one: they are to have it. */
  due: ReadonlySet<string>;
  readonly sealings: Sealing[];
}

/** Groups, as the stores of all devices have them. */
export class GroupBook {
  readonly #audiences = new Map<string, Audience>();
  /** By device and group. */
  readonly #heads = new Map<string, GroupLinkInChain>();
  /** By hash. */
  readonly #links = new Map<string, GroupLinkInChain>();
  /** By device and distribution id: each sender key as it first came. */
  readonly #keys = new Map<string, { readonly reader: Reader; readonly record: Uint8Array }>();
  /** By group and account: who was ever taken out of it, or left. */
  readonly #out = new Set<string>();
  readonly groups = new Set<string>();
  /** Groups that nobody is in at the end. */
  readonly left = new Set<string>();
  sealed = 0;

  /** One commit of a device. */
  follow(reader: Reader, extra: ClientExtra): void {
    for (const { space, key, value } of extra.records ?? []) {
      if (value === undefined) continue;
      if (space === GROUP_SPACE.group) this.#stored(reader, key, value);
      const name = `${reader.name}/${key}`;
      if (space === GROUP_SPACE.incoming && !this.#keys.has(name)) {
        this.#keys.set(name, { reader, record: decodeIncomingKey(value).record });
      }
    }
    for (const row of extra.outboxChanged ?? []) {
      if (row.kind === 'group') this.#sealed(reader, row.username ?? '', row.content);
    }
  }

  /** The head of a group at a device. */
  headOf(reader: Reader, group: string): GroupLinkInChain | undefined {
    return this.#heads.get(`${reader.name}/${group}`);
  }

  /** Whether somebody may have a message of a group. */
  mayHave(key: string, account: string): boolean {
    return this.#audiences.get(key)?.reached.has(account) === true;
  }

  /** Whether somebody is to have it, or be told: where nobody is left, no later message shows that one is missing. */
  isDue(key: string, account: string): boolean {
    const audience = this.#audiences.get(key);
    if (audience === undefined || !audience.due.has(account)) return false;
    return audience.sealings.every(({ group }) => !this.left.has(group));
  }

  wasOut(group: string, account: string): boolean {
    return this.#out.has(`${group}/${account}`);
  }

  /**
   * What devices can open of what was not meant for their accounts, with every sender key they ever got, as it was
   * when they got it: ATK-E04, ATK-E05.
   */
  leaks(): readonly string[] {
    const leaks: string[] = [];
    const holders = new Map<string, { readonly reader: Reader; readonly record: Uint8Array }[]>();
    for (const [name, one] of this.#keys) {
      const id = name.slice(name.lastIndexOf('/') + 1);
      holders.set(id, [...(holders.get(id) ?? []), one]);
    }
    for (const [key, { reached, sealings }] of this.#audiences) {
      for (const { distributionId, message, author, group } of sealings) {
        for (const { reader, record } of holders.get(distributionId) ?? []) {
          if (reached.has(reader.account) || reader.account === author) continue;
          if (opens(record, message)) leaks.push(`${reader.name} opens ${key} of group ${group}`);
        }
      }
    }
    return leaks;
  }

  #stored(reader: Reader, group: string, value: Uint8Array): void {
    this.groups.add(group);
    const { chain } = decodeGroup(defaultCrypto, value);
    const name = `${reader.name}/${group}`;
    const before = this.#heads.get(name);
    const head = headOf(chain);
    this.#heads.set(name, head);
    for (const link of [...chain.line, ...chain.aside]) this.#links.set(link.hash, link);
    for (const account of before?.state.members.keys() ?? []) {
      if (!head.state.members.has(account)) this.#out.add(`${group}/${account}`);
    }
  }

  #sealed(reader: Reader, group: string, row: Uint8Array): void {
    const { content, sealed } = decodePacket(row);
    if (sealed === undefined) return;
    const { id, group: context } = decodeContent(content);
    const key = `${reader.account}/${toHex(id)}`;
    const audience = this.#audiences.get(key) ?? {
      reached: new Set<string>(),
      due: new Set<string>(),
      sealings: [],
    };
    this.#audiences.set(key, audience);
    const distributionId = toHex(sealed.distributionId);
    // The same encryption, written once more with the row.
    if (audience.sealings.some((one) => one.distributionId === distributionId)) return;
    const { message } = decodeEnvelope(sealed.body);
    audience.sealings.push({ group, author: reader.account, distributionId, message });
    this.sealed++;
    audience.due = new Set(this.headOf(reader, group)?.state.members.keys());
    for (const account of audience.due) audience.reached.add(account);
    // The head may have moved on between reading it and encrypting: whoever it brought in gets the key as it is
    // after this message.
    const named = context && this.#links.get(toHex(context.head));
    if (audience.sealings.length > 1 || named === undefined) return;
    const { members } = named.state;
    audience.due = new Set([...audience.due].filter((account) => members.has(account)));
    for (const account of members.keys()) audience.reached.add(account);
  }
}

function opens(record: Uint8Array, message: Uint8Array<ArrayBuffer>): boolean {
  try {
    groupDecrypt(defaultCrypto, decodeSenderKeyRecord(record), message);
    return true;
  } catch {
    return false;
  }
}
