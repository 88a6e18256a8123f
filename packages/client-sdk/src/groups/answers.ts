/**
 * 19 Groups §§6, 10. Answering who lacks something of a group: entries, a welcome, our sender key.
 */
import { senderKeyDistributionId, toHex, type Bytes } from '@qasid/protocol';

import { headOf, type GroupChain } from './chain.js';
import { answerWant, type Sender } from './distributions.js';
import { ASK_AGAIN_MS } from './limits.js';
import type { SignalBody, WantSignal } from './signals.js';
import { groupName, signalContent, signalRow, type GroupDeps } from './store.js';
import { GROUP_SPACE, decodeIncomingKey, secretOf } from './stored.js';

/** Answers remembered. */
const ANSWERED_MAX = 4_096;

/** Answers of one engine. */
export class Answers {
  readonly #deps: GroupDeps;
  /** When somebody was last answered, by who and what. In memory: it bounds work, not truth. */
  readonly #answered = new Map<string, number>();

  constructor(deps: GroupDeps) {
    this.#deps = deps;
  }

  /** Members get what they lack; whoever was removed gets the entries that say so. */
  async want(sender: Sender, groupId: Bytes, want: WantSignal): Promise<void> {
    const { groups, self } = this.#deps;
    const { account } = sender;
    const { have } = want;
    const what = want.distribution === undefined ? groupName(groupId) : toHex(want.distribution);
    if (!this.#isDue(sender, what)) return;
    if (want.distribution !== undefined) {
      await answerWant(this.#deps, sender, want.distribution);
      return;
    }
    const stored = await groups.load(groupName(groupId));
    if (stored === undefined) return;
    const { chain } = stored.data;
    const head = headOf(chain);
    const isMember = head.state.members.has(account);
    // ATK-E11: knowing a group's id is worth nothing.
    if (!isMember && !wasMember(chain, account)) return;
    const secret = isMember ? secretOf(stored.data, head.state) : undefined;
    if (have === undefined) {
      // Nobody takes a welcome from who is not in the group.
      if (secret === undefined || !head.state.members.has(self.account)) return;
      await this.#say(account, groupId, {
        kind: 'welcome',
        entry: head.signed,
        state: head.state,
        secret,
      });
      return;
    }
    // All of them to whoever stands on a branch that is not ours: it may have begun before their first entry.
    const at = chain.line.findIndex(({ hash }) => hash === toHex(have));
    const entries = chain.line.slice(at + 1).map(({ signed }) => signed);
    await this.#say(account, groupId, { kind: 'entries', entries, secret });
  }

  /**
   * A message was refused. If that is because its sender was taken out and has not heard of it, say so: the
   * record they can read may be one that the relay shows to nobody else.
   */
  async refused(sender: Sender, message: Bytes): Promise<void> {
    const { store, groups } = this.#deps;
    const id = toHex(senderKeyDistributionId(message));
    const row = await store.loadRecord(GROUP_SPACE.incoming, id);
    const key = row && decodeIncomingKey(row.value);
    if (key?.account !== sender.account || key.device !== sender.device) return;
    const chain = (await groups.load(key.group))?.data.chain;
    if (chain === undefined) return;
    if (headOf(chain).state.members.has(sender.account)) return;
    if (!wasMember(chain, sender.account) || !this.#isDue(sender, `out of ${key.group}`)) return;
    // From where they were in it; all, to whoever was only in it on a branch that does not count.
    const last = chain.line.findLastIndex(({ state }) => state.members.has(sender.account));
    const entries = chain.line.slice(last + 1).map(({ signed }) => signed);
    const { groupId } = headOf(chain).state;
    await this.#say(sender.account, groupId, { kind: 'entries', entries, secret: undefined });
  }

  /** Whether this device of somebody may be answered this now. */
  #isDue({ account, device }: Sender, what: string): boolean {
    const name = `${account}/${device}/${what}`;
    const nowMs = this.#deps.clock.now();
    const lastMs = this.#answered.get(name) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - lastMs < ASK_AGAIN_MS / 2) return false;
    if (this.#answered.size >= ANSWERED_MAX) this.#answered.clear();
    this.#answered.set(name, nowMs);
    return true;
  }

  async #say(account: string, groupId: Bytes, body: SignalBody): Promise<void> {
    const content = signalContent(this.#deps, { groupId, body });
    await this.#deps.store.commit({ extra: { outboxAdded: [signalRow(account, content)] } });
    this.#deps.pump();
  }
}

/** Whether an account was in the group after some entry, also one that was undone. */
function wasMember(chain: GroupChain, account: string): boolean {
  return [...chain.line, ...chain.aside].some(({ state }) => state.members.has(account));
}
