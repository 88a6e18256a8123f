/**
 * Groups of one store, decoded once for each version.
 */
import { toHex, type Bytes, type CryptoProvider } from '@qasid/protocol';

import type { Clock } from '../clock.js';
import { CONTENT_ID_BYTES, encodeContent } from '../content/index.js';
import type { Directory } from '../directory.js';
import type { RequestOp, ResponseItem } from '@qasid/protocol/envelope';
import type { ClientStore, OutboxPart, OutboxRow, RecordChange } from '../stores/port.js';
import type { Happening } from '../timeline/types.js';
import type { GroupEvent } from './events.js';
import { encodeSignal, type GroupSignal } from './signals.js';
import { decodeGroup, encodeGroup, GROUP_SPACE, type GroupData } from './stored.js';

/** What the parts of groups need. */
export interface GroupDeps {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly dice: () => number;
  readonly self: { readonly account: string; readonly device: number };
  readonly directory: Directory;
  readonly groups: GroupStore;
  /** Asks again while the relay is busy. */
  ask(op: RequestOp): Promise<ResponseItem>;
  /** One try of a send to all devices of an account, without our name where that can be. */
  post(account: string, parts: readonly OutboxPart[]): Promise<ResponseItem>;
  /** Connected, and everything that waited at the relay is stored. */
  isCaughtUp(): boolean;
  /** There is something to send. */
  pump(): void;
  /** Open the envelopes that wait for this. */
  release(key: string): Promise<void>;
  tell(event: GroupEvent): void;
  happened(happenings: readonly Happening[]): void;
  trouble(error: unknown): void;
}

/** A group and the version of its record. */
export interface StoredGroup {
  readonly id: string;
  readonly data: GroupData;
  readonly version: number;
}

/** Reads groups, and makes the changes that write them. */
export class GroupStore {
  readonly #store: ClientStore;
  readonly #crypto: CryptoProvider;
  readonly #cache = new Map<string, StoredGroup>();

  constructor(store: ClientStore, crypto: CryptoProvider) {
    this.#store = store;
    this.#crypto = crypto;
  }

  /** The group with this id, as hex. */
  async load(id: string): Promise<StoredGroup | undefined> {
    const row = await this.#store.loadRecord(GROUP_SPACE.group, id);
    if (row === undefined) return undefined;
    const cached = this.#cache.get(id);
    if (cached?.version === row.version) return cached;
    const loaded = { id, data: decodeGroup(this.#crypto, row.value), version: row.version };
    this.#cache.set(id, loaded);
    return loaded;
  }

  /** Ids of all groups. */
  async ids(): Promise<readonly string[]> {
    return (await this.#store.loadRecords(GROUP_SPACE.group)).map(({ key }) => key);
  }

  /** The change that puts `data` in place of what was loaded. */
  change(id: string, data: GroupData, expectedVersion: number): RecordChange {
    return { space: GROUP_SPACE.group, key: id, value: encodeGroup(data), expectedVersion };
  }
}

/** The content that carries a signal. */
export function signalContent(deps: GroupDeps, signal: GroupSignal): Bytes {
  const { crypto, clock } = deps;
  return encodeContent({
    id: crypto.randomBytes(CONTENT_ID_BYTES),
    sentAtMs: clock.now(),
    body: { kind: 'group', data: encodeSignal(signal) },
  });
}

/** The row that takes a signal to all devices of an account. */
export function signalRow(account: string, content: Bytes): Omit<OutboxRow, 'id'> {
  return {
    kind: 'signal',
    messageId: '',
    account,
    username: undefined,
    content,
    parts: undefined,
    held: false,
    copied: true,
  };
}

/** Whether a name of a conversation is that of a group. */
export function isGroupId(id: string): boolean {
  return id.length === 64;
}

/** A group's id as the name of its conversation. */
export function groupName(groupId: Bytes): string {
  return toHex(groupId);
}
