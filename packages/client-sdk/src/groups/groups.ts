/**
 * 19 Groups. The groups of one account while it is connected: signals, what is missing, what is due.
 *
 * Signals are stored in the commit that opens their message, and dealt with afterwards, one after the other: that
 * may need the relay, and a crash in between costs nothing.
 */
import {
  QasidError,
  StoreError,
  fromHex,
  samePublicBytes,
  toHex,
  type Bytes,
} from '@qasid/protocol';

import type { Timer } from '../clock.js';
import { untilCommitted } from '../committed.js';
import { AccountError, GroupError, NetworkError } from '../errors.js';
import type { OutboxRow, RecordChange, RecordRow } from '../stores/port.js';
import { Batch } from '../timeline/batch.js';
import type { Entry } from '../timeline/types.js';
import { Turns } from '../turns.js';
import { Answers } from './answers.js';
import { headOf } from './chain.js';
import {
  changeGroup,
  joining,
  mayFail,
  readRecord,
  settlePending,
  stillWanted,
  type MakeChanges,
} from './changing.js';
import { takeDistribution, type Sender } from './distributions.js';
import type { GroupChange } from './entry.js';
import { epochWant, lacksSecret, whoKnowsEpoch } from './epoch-wants.js';
import type { GroupChanged, GroupEvent } from './events.js';
import { checkMaySend, FanOut } from './fan-out.js';
import { askNext, headWant, openGroupMessage, type GroupEnvelope } from './incoming.js';
import {
  ASK_AFTER_MS,
  ASK_AGAIN_MS,
  RENEW_MAX_MS,
  RENEW_PER_MEMBER_MS,
  STRANGE_SIGNALS_MAX,
  STRANGE_SIGNAL_AGE_MAX_MS,
  WANTS_MAX,
  WANT_AGE_MAX_MS,
} from './limits.js';
import { tokenHash } from './link.js';
import { contextOf } from './shared.js';
import { decodeSignal, type WantSignal } from './signals.js';
import { groupName, signalContent, signalRow, type GroupDeps, type StoredGroup } from './store.js';
import {
  GROUP_SPACE,
  decodeTodo,
  decodeWant,
  encodeTodo,
  encodeWant,
  type Todo,
} from './stored.js';
import { adoptEntries, takeWelcome } from './taking.js';

/** How long to stay away when the relay or the store refused a signal's work. */
const RETRY_MS = 2_000;

/** What became of a signal. */
type Fate = 'done' | 'strange';

/** Groups of one engine. */
export class Groups {
  readonly deps: GroupDeps;
  readonly #fanOut: FanOut;
  /** An entry stored and not yet in the record, another task would take for left over. */
  readonly #turns = new Turns();
  readonly #timers = new Map<string, Timer>();
  readonly #answers: Answers;
  #draining: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  readonly #running = new Set<Promise<void>>();

  /** @param deps - `tell` is called after what is due of an event was arranged here. */
  constructor(deps: Omit<GroupDeps, 'tell'>, tell: (event: GroupEvent) => void) {
    this.deps = {
      ...deps,
      tell: (event) => {
        tell(event);
        if (event.kind === 'changed') this.#changed(event);
      },
    };
    this.#fanOut = new FanOut(this.deps);
    this.#answers = new Answers(this.deps);
  }

  /** Keep a signal with the commit that opened its message. */
  async keepSignal(batch: Batch, entry: Entry): Promise<void> {
    const { content, author: account, device } = entry;
    if (content.body.kind !== 'group') return;
    const signal = content.body.data;
    const key = `${account}/${device}/${toHex(content.id)}`;
    const value = encodeTodo({ account, device, atMs: this.deps.clock.now(), signal });
    await batch.setRecord(GROUP_SPACE.todo, key, value);
  }

  /** Open a message under a sender key. Throws as `openGroupMessage`. */
  async open(envelope: GroupEnvelope, done: Parameters<typeof openGroupMessage>[2]): Promise<void> {
    // A key that is on the list of things to do is as good as here. What waited is opened from that very list.
    if (envelope.waitedFor === undefined) await this.#draining;
    try {
      const happenings = await openGroupMessage(this.deps, envelope, done);
      this.deps.happened(happenings);
    } catch (error) {
      const isRefused = error instanceof QasidError && error.code === 'VERIFY_GROUP';
      if (isRefused) this.#run(() => this.#answers.refused(envelope, envelope.message));
      throw error;
    }
    this.#schedule('ask', ASK_AFTER_MS, () => this.#ask());
  }

  /** Send a row of the outbox. Throws as `FanOut.deliver`. */
  deliver(row: OutboxRow): Promise<void> {
    return this.#fanOut.deliver(row);
  }

  /** Change a group. Throws as `changeGroup`. */
  change(id: string, make: MakeChanges): ReturnType<typeof changeGroup> {
    return this.#turns.take(id, () => changeGroup(this.deps, id, make));
  }

  /**
   * What a message that is written now says of its group.
   *
   * @throws GroupError when this account may not write there; AccountError `ACCOUNT_BLOCKED`.
   */
  async contextToSend(id: string): Promise<ReturnType<typeof contextOf>> {
    const stored = await this.deps.groups.load(id);
    if (stored === undefined) throw new GroupError('GROUP_UNKNOWN', 'no such group here');
    const head = headOf(stored.data.chain);
    checkMaySend(head, this.deps.self.account);
    const chat = await new Batch(this.deps.store).conversation(id);
    if (chat?.settings.status === 'blocked') {
      throw new AccountError('ACCOUNT_BLOCKED', 'this group is blocked: unblock it to write');
    }
    return contextOf(head);
  }

  /** There may be signals to deal with. */
  poke(): void {
    if (this.#stopped) return;
    if (this.#draining !== undefined) {
      this.#again = true;
      return;
    }
    this.#draining = this.#drain().finally(() => {
      this.#draining = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.poke();
    });
  }

  /** Everything that waited at the relay is here: see what the records say. */
  caughtUp(): void {
    this.poke();
    this.#run(async () => {
      for (const id of await this.deps.groups.ids()) await this.#check(id);
      await this.#ask();
    });
  }

  /** Groups that another device of the account handed to this one: tell, and open what waited for them. */
  cameAlong(ids: readonly string[]): void {
    this.#run(async () => {
      for (const group of ids) {
        const stored = await this.deps.groups.load(group);
        if (stored === undefined) continue;
        const isMember = headOf(stored.data.chain).state.members.has(this.deps.self.account);
        this.deps.tell({ kind: 'changed', group, applied: [], undone: [], isMember });
      }
    });
    this.poke();
  }

  /** Resolve when the signals that are here are dealt with, and what waited for them is stored. */
  async settled(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
  }

  /** A group has no record yet: make it, now or when there is a connection. */
  recordDue(id: string): void {
    if (this.deps.isCaughtUp()) this.#run(() => this.#check(id));
  }

  /** Do no more. What is not done stays in the store. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    await this.#draining;
    await Promise.all([...this.#running]);
  }

  async #check(id: string): Promise<void> {
    if ((await this.deps.groups.load(id)) === undefined) return;
    await this.#turns.take(id, async () => {
      await settlePending(this.deps, id);
      await readRecord(this.deps, id);
    });
    await this.#wantSecret(id);
    this.#renewLater(id);
  }

  /** A new epoch whose secret did not come with it: it may be under way, and is asked for when it is not. */
  async #wantSecret(id: string): Promise<void> {
    const { groups, self, dice } = this.deps;
    const data = (await groups.load(id))?.data;
    if (data === undefined || !lacksSecret(data, self.account)) return;
    const account = whoKnowsEpoch(data.chain, true, dice());
    await this.#want(epochWant(id), { account, device: 0 }, id);
  }

  /** Something in the background; a lost connection is no trouble, the next one does it again. */
  #run(task: () => Promise<void>): void {
    if (this.#stopped) return;
    const running = task()
      .catch((error: unknown) => {
        const ordinary = error instanceof NetworkError && error.code !== 'NET_REFUSED';
        if (!ordinary && !this.#stopped) this.deps.trouble(error);
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #schedule(name: string, ms: number, task: () => Promise<void>): void {
    if (this.#stopped || this.#timers.has(name)) return;
    const timer = this.deps.clock.after(ms, () => {
      this.#timers.delete(name);
      this.#run(task);
    });
    this.#timers.set(name, timer);
  }

  async #drain(): Promise<void> {
    try {
      const strange: RecordRow[] = [];
      for (const row of await this.deps.store.loadRecords(GROUP_SPACE.todo)) {
        if (this.#stopped) return;
        if ((await this.#deal(row)) === 'strange') strange.push(row);
      }
      // Strangers may fill no more than this.
      for (const row of strange.slice(0, -STRANGE_SIGNALS_MAX)) await this.#remove(row);
    } catch (error) {
      if (this.#stopped) return;
      const ordinary = error instanceof NetworkError && error.code !== 'NET_REFUSED';
      if (!ordinary) this.deps.trouble(error);
      this.#schedule('retry', RETRY_MS, async () => this.poke());
    }
  }

  async #deal(row: RecordRow): Promise<Fate> {
    const todo = decodeTodo(row.value);
    try {
      if ((await this.#take(todo)) === 'strange') {
        const ageMs = this.deps.clock.now() - todo.atMs;
        if (ageMs < STRANGE_SIGNAL_AGE_MAX_MS) return 'strange';
      }
    } catch (error) {
      const later =
        error instanceof StoreError ||
        (error instanceof NetworkError && error.code !== 'NET_REFUSED');
      if (later || !(error instanceof QasidError)) throw error;
      this.deps.trouble(error);
    }
    await this.#remove(row);
    return 'done';
  }

  async #remove({ key, version }: RecordRow): Promise<void> {
    const change: RecordChange = {
      space: GROUP_SPACE.todo,
      key,
      value: undefined,
      expectedVersion: version,
    };
    await this.deps.store.commit({ extra: { records: [change] } });
  }

  async #take(todo: Todo): Promise<Fate> {
    const { body, groupId } = decodeSignal(todo.signal);
    const id = groupName(groupId);
    const known = await this.deps.groups.load(id);
    switch (body.kind) {
      case 'welcome': {
        if (groupName(body.state.groupId) !== id) return 'done';
        const fate = await takeWelcome(this.deps, todo.account, body);
        if (fate === 'request') this.deps.happened([{ kind: 'request', peer: id }]);
        // What came before it.
        if (fate !== 'known') this.#again = true;
        // Taken out and brought in again without hearing of it: an entry like any other.
        else if (known !== undefined) await this.#adopt(todo, known, [body.entry], body.secret);
        return 'done';
      }
      case 'entries': {
        if (known === undefined) return this.#strange(todo, id);
        await this.#adopt(todo, known, body.entries, body.secret);
        return 'done';
      }
      case 'distribution': {
        if (known === undefined) return this.#strange(todo, id);
        const name = await takeDistribution(this.deps, todo, id, body);
        await this.#satisfied(name);
        return 'done';
      }
      case 'want':
        await this.#answers.want(todo, groupId, body);
        return 'done';
      case 'join':
        if (known !== undefined) await this.#join(todo, id, body.token);
        return 'done';
    }
  }

  async #adopt(
    todo: Todo,
    { id, data }: StoredGroup,
    entries: Parameters<typeof adoptEntries>[2],
    secret: Bytes | undefined,
  ): Promise<void> {
    const { groups, self } = this.deps;
    const { isAhead } = await adoptEntries(this.deps, id, entries, secret);
    if (isAhead) await this.#want(headWant(id), todo, id);
    if (!lacksSecret(data, self.account)) return;
    const now = await groups.load(id);
    // It opens the record, which may know more.
    if (now !== undefined && !lacksSecret(now.data, self.account)) this.recordDue(id);
  }

  /** A signal of a group that is not known here: its welcome is under way, or went to another device. */
  async #strange(todo: Todo, id: string): Promise<Fate> {
    await this.#want(headWant(id), todo, id);
    return 'strange';
  }

  /** Remember that something is missing; it is asked for when it does not come by itself. */
  async #want(name: string, { account, device }: Sender, group: string): Promise<void> {
    const { store, clock } = this.deps;
    await untilCommitted(async () => {
      const found = await store.loadRecord(GROUP_SPACE.wants, name);
      if (found !== undefined) {
        const asked = askNext(decodeWant(found.value), { account, device });
        if (asked === undefined) return;
        const { version: expectedVersion } = found;
        const other = { space: GROUP_SPACE.wants, key: name, value: encodeWant(asked) };
        await store.commit({ extra: { records: [{ ...other, expectedVersion }] } });
        return;
      }
      if ((await store.loadRecords(GROUP_SPACE.wants)).length >= WANTS_MAX) return;
      const want = { account, device, group, sinceMs: clock.now(), askedAtMs: 0, count: 0 };
      const change = { space: GROUP_SPACE.wants, key: name, value: encodeWant(want) };
      await store.commit({ extra: { records: [{ ...change, expectedVersion: 0 }] } });
    });
    this.#schedule('ask', ASK_AFTER_MS, () => this.#ask());
  }

  /** What envelopes waited for may be here. Those that need more go on waiting. */
  async #satisfied(name: string): Promise<void> {
    if ((await this.deps.store.loadRecord(GROUP_SPACE.wants, name)) === undefined) return;
    await this.deps.release(name);
    if ((await this.deps.store.loadHeld(name)).length === 0) await this.#forget(name);
  }

  async #forget(name: string): Promise<void> {
    const { store } = this.deps;
    await untilCommitted(async () => {
      const found = await store.loadRecord(GROUP_SPACE.wants, name);
      if (found === undefined) return;
      const { key, version } = found;
      const change = { space: GROUP_SPACE.wants, key, value: undefined, expectedVersion: version };
      await store.commit({ extra: { records: [change] } });
    });
  }

  /** Ask for what is missing: after a while, and then once an hour. ATK-E12. */
  async #ask(): Promise<void> {
    const { store, clock, groups, self, dice } = this.deps;
    const rows = await store.loadRecords(GROUP_SPACE.wants);
    for (const { key, value, version } of rows) {
      const want = decodeWant(value);
      const nowMs = clock.now();
      if (nowMs - want.sinceMs >= WANT_AGE_MAX_MS) {
        // What nobody waits for any more is told as lost.
        await this.#forget(key);
        await this.deps.release(key);
        continue;
      }
      if (nowMs - want.sinceMs < ASK_AFTER_MS) continue;
      if (want.askedAtMs > 0 && nowMs - want.askedAtMs < ASK_AGAIN_MS) continue;
      const [what, id] = key.split(':');
      const stored = want.group === '' ? undefined : await groups.load(want.group);
      let { account } = want;
      if (what === 'epoch') {
        if (stored === undefined || !lacksSecret(stored.data, self.account)) {
          await this.#forget(key);
          continue;
        }
        account = whoKnowsEpoch(stored.data.chain, want.askedAtMs === 0, dice());
      }
      const head = stored && headOf(stored.data.chain).hash;
      const bytes = fromHex(id ?? '');
      const body: WantSignal = {
        kind: 'want',
        distribution: what === 'key' ? bytes : undefined,
        have: head === undefined ? undefined : fromHex(head),
      };
      const groupId = fromHex(want.group) ?? new Uint8Array(0);
      const content = signalContent(this.deps, {
        groupId: groupId.length === 32 ? groupId : new Uint8Array(32),
        body,
      });
      const asked = encodeWant({ ...want, askedAtMs: nowMs });
      await store.commit({
        extra: {
          records: [{ space: GROUP_SPACE.wants, key, value: asked, expectedVersion: version }],
          outboxAdded: [signalRow(account, content)],
        },
      });
      this.deps.pump();
    }
    if (rows.length > 0) this.#schedule('ask-again', ASK_AGAIN_MS, () => this.#ask());
    const isYoung = rows.some(({ value }) => decodeWant(value).askedAtMs === 0);
    if (isYoung) this.#schedule('ask', ASK_AFTER_MS, () => this.#ask());
  }

  /** Somebody followed a link of ours. A wrong token gets no answer. ATK-E13. */
  async #join({ account }: Sender, id: string, token: Bytes): Promise<void> {
    const { groups, crypto, store, self } = this.deps;
    const stored = await groups.load(id);
    const state = stored && headOf(stored.data.chain).state;
    const hash = tokenHash(crypto, token);
    const link = state?.link;
    const isMeant =
      link !== undefined && link.maker === self.account && samePublicBytes(link.tokenHash, hash);
    if (!isMeant || state === undefined || state.members.has(account)) return;
    if (link.usesMax > 0 && state.linkUses >= link.usesMax) return;
    if (!link.needsApproval) {
      await mayFail(
        this.change(id, (now) => {
          const same = now.link !== undefined && samePublicBytes(now.link.tokenHash, hash);
          return same && !now.members.has(account) ? [joining(account)] : undefined;
        }),
      );
      return;
    }
    const key = `${id}/${account}`;
    if ((await store.loadRecord(GROUP_SPACE.requests, key)) !== undefined) return;
    const change = { space: GROUP_SPACE.requests, key, value: token, expectedVersion: 0 };
    await store.commit({ extra: { records: [change] } });
    this.deps.tell({ kind: 'request', group: id, account });
  }

  /** What follows from a change, here. */
  #changed({ group, undone, isMember }: GroupChanged): void {
    this.#run(async () => {
      await this.#satisfied(headWant(group));
      if (!isMember) return;
      await this.#wantSecret(group);
      this.#renewLater(group);
      // §4.4: what others were quicker than is made again, if it still makes sense.
      for (const { author, changes } of undone) {
        if (author === this.deps.self.account) await this.#makeAgain(group, changes);
      }
    });
  }

  async #makeAgain(group: string, changes: readonly GroupChange[]): Promise<void> {
    const wanted = changes.filter(({ kind }) => kind !== 'epoch');
    if (wanted.length === 0) return;
    await mayFail(this.change(group, (state) => stillWanted(state.members, wanted)));
  }

  /** Somebody left and knows the secret: whoever is first begins a new epoch. */
  #renewLater(id: string): void {
    this.#run(async () => {
      const stored = await this.deps.groups.load(id);
      if (stored === undefined || stored.data.chain.fork !== undefined) return;
      const { state } = headOf(stored.data.chain);
      if (!state.isEpochSpent || !state.members.has(this.deps.self.account)) return;
      const most = Math.min(RENEW_MAX_MS, state.members.size * RENEW_PER_MEMBER_MS);
      this.#schedule(`renew:${id}`, this.deps.dice() * most, async () => {
        await mayFail(this.change(id, (now) => (now.isEpochSpent ? [] : undefined)));
      });
    });
  }
}
