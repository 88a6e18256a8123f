/**
 * A group: a conversation whose members decide who is in it. Get one with `client.createGroup` or `client.group`.
 */
import { UsageError } from '@qasid/protocol';

import type { MessageKey, SentMessage } from '../api.js';
import { Conversation, type ConversationDeps } from '../conversation.js';
import { AccountError, GroupError, NetworkError } from '../errors.js';
import { decideFork, headOf, type GroupLinkInChain } from './chain.js';
import type { MakeChanges } from './changing.js';
import type { GroupChange, GroupPolicy, GroupRole } from './entry.js';
import { untilCommitted } from '../committed.js';
import { formatLink, tokenHash } from './link.js';
import { GROUP_TOKEN_BYTES } from './signals.js';
import type { GroupState } from './state.js';
import type { StoredGroup } from './store.js';
import { GROUP_SPACE } from './stored.js';
import { commitGroup } from './taking.js';

/** Somebody in a group. */
export interface GroupMember {
  readonly account: string;
  /** The relay's word when the account was first met; `undefined` when it never was. */
  readonly username: string | undefined;
  readonly role: GroupRole;
}

/** A group as it stands. */
export interface GroupInfo {
  /** 64 hex digits. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Seconds after which messages disappear; 0: they stay. */
  readonly timerSeconds: number;
  readonly policy: GroupPolicy;
  /** Counts changes, from 1. */
  readonly version: number;
  /** Counts the secrets that members shared one after the other, from 1. */
  readonly epoch: number;
  /** Members. */
  readonly size: number;
  /** What this account is there; `undefined` when it is not in the group. */
  readonly role: GroupRole | undefined;
  readonly hasLink: boolean;
  /** Members disagree, and a person must decide: names for `decideFork`. */
  readonly fork: { readonly ours: string; readonly theirs: string } | undefined;
}

/** What a group needs of its client. */
export interface GroupApiDeps extends ConversationDeps {
  /** Account of a user name, asking the relay when it is not known. */
  accountOf(who: string): Promise<string>;
}

/**
 * One group. Methods that change it need the relay, and throw GroupError `GROUP_NOT_MEMBER`, `GROUP_NOT_ALLOWED`,
 * `GROUP_FORKED`, `GROUP_CONTESTED`, and NetworkError. Messages go as in every conversation, offline too.
 */
export class Group extends Conversation {
  readonly #deps: GroupApiDeps;

  /** Made by `QasidClient`. */
  constructor(deps: GroupApiDeps, id: string) {
    super(deps, { account: id, username: undefined });
    this.#deps = deps;
  }

  /** As it stands now. */
  async details(): Promise<GroupInfo> {
    const { chain } = (await this.#load()).data;
    const { state } = headOf(chain);
    const { title, description, timerSeconds, policy, version, epoch, members, link } = state;
    const { account } = this.#deps.engine().sealing.self;
    return {
      ...{ id: this.id, title, description, timerSeconds, policy, version, epoch },
      size: members.size,
      role: members.get(account),
      hasLink: link !== undefined,
      fork: chain.fork && { ours: chain.fork.ours, theirs: chain.fork.theirs },
    };
  }

  /** Who is in it, by account id. */
  async members(): Promise<readonly GroupMember[]> {
    const { state } = headOf((await this.#load()).data.chain);
    const list: GroupMember[] = [];
    for (const [account, role] of [...state.members].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const contact = await this.#deps.platform.store.loadContact(account);
      list.push({ account, username: contact?.username, role });
    }
    return list;
  }

  /** Bring people in, by user name or account id. Those who are in already are left alone. */
  async add(...people: readonly string[]): Promise<void> {
    const accounts = await this.#accounts(people);
    await this.#change(({ members }) => {
      const added = accounts.filter((account) => !members.has(account));
      return added.map((account): GroupChange => {
        return { kind: 'add', account, role: 'member', byLink: false };
      });
    });
  }

  /**
   * Take people out, by user name or account id; nothing that is sent afterwards can be read by them, and only
   * admins may. Messages instead of names are removed here, as in every conversation.
   */
  override async remove(...what: readonly (string | MessageKey)[]): Promise<void> {
    const people = what.filter((one) => typeof one === 'string');
    if (people.length < what.length) {
      await super.remove(...what.filter((one) => typeof one !== 'string'));
    }
    if (people.length === 0) return;
    const accounts = await this.#accounts(people);
    await this.#change(({ members }) => {
      const removed = accounts.filter((account) => members.has(account));
      return removed.map((account): GroupChange => ({ kind: 'remove', account }));
    });
  }

  /** Admins only. A group keeps at least one admin. */
  async setRole(who: string, role: GroupRole): Promise<void> {
    const [account] = await this.#accounts([who]);
    if (account === undefined) return;
    await this.#change(({ members }) =>
      members.get(account) === role ? [] : [{ kind: 'role', account, role }],
    );
  }

  /** At most 256 bytes. */
  async setTitle(title: string): Promise<void> {
    await this.#change((state) => (state.title === title ? [] : [{ kind: 'title', title }]));
  }

  /** At most 2 048 bytes. */
  async setDescription(description: string): Promise<void> {
    await this.#change((state) =>
      state.description === description ? [] : [{ kind: 'description', description }],
    );
  }

  /** Who may add people, edit title and timer, and write. Absent members stay as they are. Admins only. */
  async setPolicy(policy: Partial<GroupPolicy>): Promise<void> {
    await this.#change((state) => [{ kind: 'policy', policy: { ...state.policy, ...policy } }]);
  }

  /** Let new messages disappear so long after they are read; 0: no more. `confirmed` when the group has it. */
  override async setTimer(seconds: number): Promise<SentMessage> {
    const link = await this.#change((state) =>
      state.timerSeconds === seconds ? [] : [{ kind: 'timer', seconds }],
    );
    const { platform } = this.#deps;
    const at = link?.entry.atMs ?? platform.clock.now();
    const id = (link?.hash ?? this.id).slice(0, 32);
    return { id, to: this.id, at, confirmed: Promise.resolve() };
  }

  /** Nobody is told who writes in a group. */
  override async typing(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Go. The messages stay here. The last admin cannot: somebody must be one first, unless nobody else is there.
   */
  async leave(): Promise<void> {
    await this.#change(() => [{ kind: 'leave' }]);
  }

  /**
   * A link by which people ask to join; an earlier one ends. It opens nothing by itself: devices of this account
   * answer. Admins only.
   *
   * @param options.needsApproval - An admin decides about everybody: `requests`, `approve`. Default false.
   * @param options.uses - People who may join by it; default any number.
   */
  async createLink(
    options: { readonly needsApproval?: boolean; readonly uses?: number } = {},
  ): Promise<string> {
    const { crypto } = this.#deps.platform;
    const { account: maker } = this.#deps.engine().sealing.self;
    const token = crypto.randomBytes(GROUP_TOKEN_BYTES);
    const link = {
      tokenHash: tokenHash(crypto, token),
      maker,
      needsApproval: options.needsApproval ?? false,
      usesMax: options.uses ?? 0,
    };
    await this.#change(() => [{ kind: 'link', link }]);
    const { groupId } = headOf((await this.#load()).data.chain).state;
    return formatLink({ groupId, maker, token });
  }

  /** End the link. Admins only. */
  async endLink(): Promise<void> {
    await this.#change((state) =>
      state.link === undefined ? [] : [{ kind: 'link', link: undefined }],
    );
  }

  /** Accounts that followed a link of this account and wait for an admin. */
  async requests(): Promise<readonly string[]> {
    const rows = await this.#deps.platform.store.loadRecords(GROUP_SPACE.requests);
    const { members } = headOf((await this.#load()).data.chain).state;
    return rows
      .filter(({ key }) => key.startsWith(`${this.id}/`))
      .map(({ key }) => key.slice(this.id.length + 1))
      .filter((account) => !members.has(account));
  }

  /** Let somebody in who asked. @throws UsageError `USAGE_ARGUMENT` for somebody who did not. */
  async approve(account: string): Promise<void> {
    if (!(await this.requests()).includes(account)) {
      throw new UsageError('USAGE_ARGUMENT', 'this account did not ask to join');
    }
    await this.#change(({ members, link }) =>
      members.has(account)
        ? []
        : [{ kind: 'add', account, role: 'member', byLink: link !== undefined }],
    );
    await this.refuse(account);
  }

  /** Forget somebody who asked. They are told nothing. */
  async refuse(account: string): Promise<void> {
    const { store } = this.#deps.platform;
    const row = await store.loadRecord(GROUP_SPACE.requests, `${this.id}/${account}`);
    if (row === undefined) return;
    const { key, version: expectedVersion } = row;
    const change = { space: GROUP_SPACE.requests, key, value: undefined, expectedVersion };
    await store.commit({ extra: { records: [change] } });
  }

  /** Follow one of the two branches of an open fork, by its name in `details().fork` or the `group-fork` event. */
  async decideFork(name: string): Promise<void> {
    const { deps } = this.#deps.engine().groups;
    await untilCommitted(async () => {
      const stored = await this.#load();
      const { chain } = decideFork(stored.data.chain, name);
      if (chain === stored.data.chain) {
        throw new UsageError('USAGE_ARGUMENT', 'not a branch of an open fork');
      }
      await commitGroup(deps, stored, { ...stored.data, chain }, {});
    });
    deps.pump();
  }

  async #load(): Promise<StoredGroup> {
    const stored = await this.#deps.engine().groups.deps.groups.load(this.id);
    if (stored === undefined) throw new GroupError('GROUP_UNKNOWN', 'no such group here');
    return stored;
  }

  /** `make` gives no changes when the group is so already. */
  async #change(make: (state: GroupState) => readonly GroupChange[]): ReturnType<ChangeGroup> {
    const engine = this.#deps.engine();
    if (!engine.isOwner) {
      throw new NetworkError('NET_UNREACHABLE', 'another process of this profile is connected');
    }
    const some: MakeChanges = (state) => {
      const changes = make(state);
      return changes.length === 0 ? undefined : changes;
    };
    return engine.groups.change(this.id, some);
  }

  async #accounts(people: readonly string[]): Promise<readonly string[]> {
    const accounts: string[] = [];
    for (const who of people) {
      if (typeof who !== 'string') throw new AccountError('ACCOUNT_NAME_INVALID', 'not a name');
      accounts.push(await this.#deps.accountOf(who));
    }
    return [...new Set(accounts)];
  }
}

type ChangeGroup = (make: MakeChanges) => Promise<GroupLinkInChain | undefined>;
