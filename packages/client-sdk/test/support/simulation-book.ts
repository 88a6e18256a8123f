// What a simulation knows: who wrote what to whom, who was shown what, and what must follow from it.
import { toHex, type StoreChanges } from '@qasid/protocol';
import { MemoryStore, type Gap, type Message, type NewMessage } from '@qasid/client-sdk';
import type { ClientExtra } from '@qasid/client-sdk';

import {
  decodeContent,
  decodeIncoming,
  decodeOutgoing,
  type ContentBody,
  type IncomingChain,
} from '../../dist/content/index.js';
import { SPACE } from '../../dist/timeline/batch.js';
import { decodePacket } from '../../dist/groups/packet.js';
import { idText } from '../../dist/timeline/ids.js';
import { GroupBook } from './simulation-group-book.js';

/** A content that a device made, as its store has it. */
export interface Written {
  readonly id: string;
  readonly author: string;
  readonly device: number;
  /** The other account, or a group's id. */
  readonly peer: string;
  readonly isGroup: boolean;
  readonly atMs: number;
  readonly body: ContentBody;
  /** Its place in the chain of its device; absent until it is encrypted. */
  link: { readonly chain: string; readonly counter: number } | undefined;
}

/** One device as the book sees it. */
export interface Reader {
  readonly name: string;
  readonly account: string;
  readonly device: number;
  readonly store: WatchedStore;
}

/** A store that tells of each commit, after it is done. */
export class WatchedStore extends MemoryStore {
  /** Told what was written. */
  onCommit: ((changes: StoreChanges<ClientExtra>) => void) | undefined;

  override async commit(changes: StoreChanges<ClientExtra>): Promise<void> {
    await super.commit(changes);
    this.onCommit?.(changes);
  }
}

/** What a device has of a content, by its own account of what is missing. */
type Standing = 'own' | 'received' | 'missing' | 'not-yet';

/** The book of one run. */
export class Book {
  readonly problems: string[] = [];
  readonly written = new Map<string, Written>();
  readonly confirmed = new Set<string>();
  readonly failed = new Set<string>();
  readonly groups = new GroupBook();
  readonly #accounts = new Map<string, string>();
  readonly #given = new Set<string>();
  /** By device: what it ever stored as a message, and what is no longer there. */
  readonly #stored = new Map<string, Map<string, number>>();
  /** By device: counters of chains that it does not await, as `chain/counter`. */
  readonly #silent = new Map<string, Set<string>>();
  readonly #removed = new Map<string, Set<string>>();
  readonly #told = new Map<string, Set<string>>();
  readonly #clears = new Set<string>();
  /**
   * Conversations of a device that were cleared once. What was held back over that comes without its place and
   * its changes: they were cleared.
   */
  readonly #forgot = new Set<string>();
  readonly #events = new Map<string, Set<string>>();
  undecryptable = 0;
  /** Messages of groups whose sender was taken out meanwhile: nothing of them is shown. */
  refused = 0;

  /** `username` belongs to `account`. */
  name(username: string, account: string): void {
    this.#accounts.set(username, account);
  }

  /** Every commit of a device: writes down what it wrote, and checks what it was shown. */
  follow(reader: Reader): void {
    reader.store.onCommit = ({ extra }) => {
      if (extra === undefined) return;
      this.groups.follow(reader, extra);
      for (const { id, status } of extra.messagesChanged ?? []) {
        if (status === 'failed') this.failed.add(id);
      }
      for (const row of [...(extra.outboxAdded ?? []), ...(extra.outboxChanged ?? [])]) {
        const peer = row.account ?? this.#accounts.get(row.username ?? '');
        if ((row.kind === 'message' || row.kind === 'change') && peer !== undefined) {
          this.#wrote(reader, peer, row.content, false);
        }
        if (row.kind === 'group') {
          this.#wrote(reader, row.username ?? '', decodePacket(row.content).content, true);
        }
      }
      for (const { space, key, value } of extra.records ?? []) {
        if (space === SPACE.incoming && value !== undefined) this.#noteSilent(reader, key, value);
        if (space !== SPACE.outgoing || value === undefined) continue;
        const { chain, withdrawn } = decodeOutgoing(value);
        for (const counter of withdrawn) {
          this.#given.add(`${reader.account}/${reader.device}/${key}/${toHex(chain)}/${counter}`);
        }
      }
      for (const row of extra.messagesAdded ?? []) this.#added(reader, row);
      for (const peer of extra.conversationsRemoved ?? []) this.#cleared(reader, peer);
    };
  }

  /** A device that joined later does not await what lies before the first link it saw. */
  #noteSilent(reader: Reader, chain: string, value: Uint8Array): void {
    const set = setOf(this.#silent, reader.name);
    for (const { from, to, silent } of decodeIncoming(value).gaps) {
      for (let counter = from; silent && counter <= to; counter++) set.add(`${chain}/${counter}`);
    }
  }

  /** Whether a person deleted the conversation when this was not awaited: it does not come any more. */
  #isClearedUnseen(
    reader: Reader,
    one: Written,
    chains: ReadonlyMap<string, IncomingChain>,
  ): boolean {
    const name = `${peerOf(reader, one)}/${one.author}/${one.device}`;
    const counter = one.link?.counter ?? 0;
    if (!setOf(this.#silent, reader.name).has(`${name}/${counter}`)) return false;
    return counter <= (chains.get(name)?.cleared ?? 0);
  }

  /** A person was told of a message, in whatever life of their program. */
  told(reader: Reader, message: Message): void {
    const key = `${message.sender.account}/${message.id}`;
    const set = setOf(this.#events, reader.name);
    const isCleared = setOf(this.#removed, reader.name).has(key);
    if (set.has(key) && !isCleared) this.problems.push(`${reader.name} was told twice of ${key}`);
    set.add(key);
  }

  /** A person was told of a gap. */
  gap(reader: Reader, gap: Gap): void {
    if (gap.cause === 'forked') this.problems.push(`${reader.name}: fork ${JSON.stringify(gap)}`);
    for (let counter = gap.from; counter <= gap.to && gap.cause === 'missing'; counter++) {
      setOf(this.#told, reader.name).add(`${gap.peer}/${gap.account}/${gap.device}/${counter}`);
    }
  }

  /** A person wants to clear a conversation: it may happen on each of their devices. */
  clears(account: string, peer: string): void {
    this.#clears.add(`${account}/${peer}`);
  }

  /** Messages that a device stored and did not remove. */
  storedAt(reader: Reader): ReadonlyMap<string, number> {
    return this.#stored.get(reader.name) ?? new Map();
  }

  /** Its sender was told that it will not be delivered: by an event, or by the chain. */
  isGivenUp(one: Written): boolean {
    if (this.failed.has(one.id)) return true;
    if (one.link === undefined) return false;
    const { author, device, peer, link } = one;
    return this.#given.has(`${author}/${device}/${peer}/${link.chain}/${link.counter}`);
  }

  #wrote(reader: Reader, peer: string, bytes: Uint8Array, isGroup: boolean): void {
    const content = decodeContent(bytes);
    const id = toHex(content.id);
    const key = `${reader.account}/${id}`;
    const link = content.link && {
      chain: toHex(content.link.chain),
      counter: content.link.counter,
    };
    const before = this.written.get(key);
    if (before === undefined) {
      const { body, sentAtMs: atMs } = content;
      const { account: author, device } = reader;
      this.written.set(key, { id, author, device, peer, isGroup, atMs, body, link });
      return;
    }
    if (before.link !== undefined && link?.counter !== before.link.counter) {
      this.problems.push(`${reader.name} gave ${id} another place in its chain`);
    }
    before.link ??= link;
  }

  #added(reader: Reader, row: NewMessage): void {
    if (row.kind === 'undecryptable') {
      if (row.cause === 'VERIFY_GROUP') this.refused++;
      else this.undecryptable++;
      return;
    }
    if (!row.arrived) return;
    const key = `${row.author}/${row.id}`;
    const stored = this.#stored.get(reader.name) ?? new Map<string, number>();
    this.#stored.set(reader.name, stored);
    stored.set(key, (stored.get(key) ?? 0) + 1);
    const one = this.written.get(key);
    // What was cleared and is then sent once more, because another copy of it could not be opened, comes again:
    // spec/15 §10.
    const isCleared = setOf(this.#removed, reader.name).has(key);
    if (stored.get(key) !== 1 && !isCleared) {
      this.problems.push(`${reader.name} was shown ${key} twice`);
    }
    if (one === undefined || one.body.kind !== 'text') {
      this.problems.push(`${reader.name} was shown ${key}, which nobody wrote: ${row.text}`);
      return;
    }
    if (!this.#mayHave(reader, one) || row.peer !== peerOf(reader, one))
      this.problems.push(`${reader.name} was shown ${key} of others`);
  }

  #cleared(reader: Reader, peer: string): void {
    const { name, account } = reader;
    if (!this.#clears.has(`${account}/${peer}`)) {
      this.problems.push(`${name} cleared ${peer}, which nobody asked for`);
    }
    this.#forgot.add(`${name}/${peer}`);
    const removed = setOf(this.#removed, name);
    for (const [key, one] of this.written) {
      const isHere = peerOf(reader, one) === peer;
      const isOwn = one.author === account && one.device === reader.device;
      if (isHere && (isOwn || this.storedAt(reader).has(key))) removed.add(key);
    }
  }

  /** What `reader` has of a content. */
  standing(reader: Reader, one: Written, chains: ReadonlyMap<string, IncomingChain>): Standing {
    if (one.author === reader.account && one.device === reader.device) return 'own';
    const name = `${peerOf(reader, one)}/${one.author}/${one.device}`;
    const chain = chains.get(name);
    if (one.link === undefined || chain === undefined) return 'not-yet';
    const { counter } = one.link;
    if (this.#told.get(reader.name)?.has(`${name}/${counter}`) === true) {
      // It was told, and may have come since.
      if (!this.storedAt(reader).has(`${one.author}/${one.id}`) && one.body.kind === 'text')
        return 'missing';
    }
    if (toHex(chain.chain) !== one.link.chain || counter > chain.counter) return 'not-yet';
    const open = chain.gaps.some(({ from, to }) => from <= counter && counter <= to);
    return open ? 'missing' : 'received';
  }

  /** Check one device at the end, when everything was sent and the last message of each chain came. */
  async check(
    reader: Reader,
    shown: ReadonlyMap<string, readonly Message[]>,
    gaps: readonly Gap[],
  ): Promise<Tally> {
    const { problems } = this;
    const rows = await reader.store.loadRecords(SPACE.incoming);
    const chains = new Map(rows.map(({ key, value }) => [key, decodeIncoming(value)]));
    const stored = this.storedAt(reader);
    const removed = setOf(this.#removed, reader.name);
    const here = new Map<string, Message>();
    for (const [peer, messages] of shown) {
      if (!this.#forgot.has(`${reader.name}/${peer}`)) this.#checkOrder(reader, messages);
      for (const message of messages) here.set(`${message.sender.account}/${message.id}`, message);
    }
    const tally = { due: 0, shown: 0, missing: 0, unexcused: 0, compared: 0 };
    const changes = this.#changesByTarget();
    for (const [key, one] of this.written) {
      if (!this.#mayHave(reader, one)) continue;
      const standing = this.standing(reader, one, chains);
      const isText = one.body.kind === 'text';
      const givenUp = this.isGivenUp(one);
      const isDue = !givenUp && this.#isDue(reader, one);
      if (standing === 'not-yet' && isDue) problems.push(`${reader.name}: ${key} is lost, untold`);
      if (isText && standing !== 'own' && isDue) {
        tally.due++;
        const isCleared = this.#isClearedUnseen(reader, one, chains);
        if (standing === 'received' && !stored.has(key) && !isCleared) {
          problems.push(
            `${reader.name}: ${key} (${one.link?.counter}) was lost, and nobody noticed`,
          );
        }
        if (standing === 'missing' && stored.has(key)) {
          problems.push(`${reader.name}: ${key} is called missing, and was shown`);
        }
        if (standing === 'missing' && !this.#isTold(reader, one, gaps)) {
          problems.push(`${reader.name}: ${key} is missing, and no one is told`);
        }
        // What somebody wrote who was thrown out meanwhile is not shown, also when they are back.
        const wasOut = one.isGroup && this.groups.wasOut(one.peer, one.author);
        if (standing === 'missing' && !wasOut) tally.unexcused++;
        if (standing === 'missing') tally.missing++;
        else tally.shown++;
      }
      const message = here.get(key);
      if (isText && message === undefined && !removed.has(key)) {
        if (standing === 'own' || stored.has(key)) problems.push(`${reader.name}: ${key} is gone`);
      }
      if (message === undefined || this.#forgot.has(`${reader.name}/${message.peer}`)) continue;
      if (this.#compare(reader, one, message, changes.get(key) ?? [], chains)) tally.compared++;
    }
    return tally;
  }

  /** Whether a person can know that it is missing. A device that joined later cannot, of the time before. */
  #isTold(reader: Reader, one: Written, gaps: readonly Gap[]): boolean {
    const { author, device, link } = one;
    const counter = link?.counter ?? 0;
    const peer = peerOf(reader, one);
    if (setOf(this.#told, reader.name).has(`${peer}/${author}/${device}/${counter}`)) return true;
    const isHere = (gap: Gap): boolean =>
      gap.account === author && gap.device === device && gap.peer === peer;
    return (
      reader.device !== 1 ||
      gaps.some((gap) => isHere(gap) && gap.from <= counter && counter <= gap.to)
    );
  }

  #mayHave({ account }: Reader, one: Written): boolean {
    if (one.author === account) return true;
    if (!one.isGroup) return one.peer === account;
    return this.groups.mayHave(`${one.author}/${one.id}`, account);
  }

  /** To be shown, or told missing. */
  #isDue({ account }: Reader, one: Written): boolean {
    if (!one.isGroup) return true;
    return this.groups.isDue(`${one.author}/${one.id}`, account);
  }

  /** Of each device, in the order in which it wrote. */
  #checkOrder(reader: Reader, messages: readonly Message[]): void {
    const last = new Map<string, number>();
    for (const { sender, id } of messages) {
      const one = this.written.get(`${sender.account}/${id}`);
      // What was given up and came all the same stands where it came.
      if (one?.link === undefined || this.isGivenUp(one)) continue;
      const line = `${one.author}/${one.device}/${one.link.chain}`;
      if (one.link.counter <= (last.get(line) ?? 0)) {
        this.problems.push(`${reader.name}: ${line} ${one.link.counter} after ${last.get(line)}`);
      }
      last.set(line, one.link.counter);
    }
  }

  #changesByTarget(): ReadonlyMap<string, readonly Written[]> {
    const map = new Map<string, Written[]>();
    for (const one of this.written.values()) {
      const target = targetOf(one);
      if (target === undefined) continue;
      const list = map.get(target) ?? [];
      map.set(target, list);
      list.push(one);
    }
    return map;
  }

  /** Whether a message reads as all changes that came here make it. False: it cannot be known. */
  #compare(
    reader: Reader,
    one: Written,
    message: Message,
    changes: readonly Written[],
    chains: ReadonlyMap<string, IncomingChain>,
  ): boolean {
    // Given up, and it may have come all the same.
    if (changes.some((change) => this.isGivenUp(change))) return false;
    const come = changes.filter((change) => {
      const standing = this.standing(reader, change, chains);
      return standing === 'own' || standing === 'received';
    });
    const latest = new Map<string, Written>();
    for (const change of come) {
      const slot = change.body.kind === 'reaction' ? `by ${change.author}` : change.body.kind;
      const before = latest.get(slot);
      const isLater =
        before === undefined ||
        change.atMs > before.atMs ||
        (change.atMs === before.atMs && change.id > before.id);
      if (isLater) latest.set(slot, change);
    }
    const deleted = latest.has('delete');
    const edit = latest.get('edit')?.body;
    let text = one.body.kind === 'text' ? one.body.text : '';
    if (edit?.kind === 'edit') text = edit.text.text;
    const reactions: string[] = [];
    for (const { author, body } of latest.values()) {
      if (body.kind === 'reaction' && !body.remove) reactions.push(`${body.emoji} ${author}`);
    }
    const expected = JSON.stringify(deleted ? ['', true, []] : [text, false, reactions.sort()]);
    const found = message.reactions.flatMap(({ emoji, by }) => by.map((who) => `${emoji} ${who}`));
    const actual = JSON.stringify([message.text, message.deleted, found.sort()]);
    if (expected !== actual) {
      const { name } = reader;
      this.problems.push(`${name}: ${one.author}/${one.id} reads ${actual}, not ${expected}`);
    }
    return true;
  }
}

/** What a device has at the end. */
export interface Tally {
  /** Messages that were to come. */
  readonly due: number;
  readonly shown: number;
  /** Reported as missing. */
  readonly missing: number;
  /** Of these, what an honest relay must not have lost. */
  readonly unexcused: number;
  /** Messages whose text, edits and reactions were compared. */
  readonly compared: number;
}

/** The message that a change is about. */
function targetOf({ author, body }: Written): string | undefined {
  if (body.kind === 'reaction') return `${idText(body.target.author)}/${toHex(body.target.id)}`;
  if (body.kind === 'edit' || body.kind === 'delete') return `${author}/${toHex(body.target)}`;
  return undefined;
}

/** The conversation in which `reader` has a content. */
function peerOf({ account }: Reader, { isGroup, author, peer }: Written): string {
  return isGroup || author === account ? peer : author;
}

function setOf(map: Map<string, Set<string>>, key: string): Set<string> {
  const found = map.get(key) ?? new Set();
  map.set(key, found);
  return found;
}
