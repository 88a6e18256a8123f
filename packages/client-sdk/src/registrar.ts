/**
 * Registration: an account that exists here becomes one that exists at the relay. Safe to interrupt anywhere.
 *
 * `local` ─► `asked` is stored before the request leaves. Whoever starts in `asked` does not know whether
 * the relay heard it, so it first tries to log in, and registers only when that is refused: prekeys are
 * never published twice.
 */
import { type Bytes, StoreError } from '@qasid/protocol';
import {
  type ChallengeEvent,
  parseAccountText,
  parseInviteText,
  type RelayCode,
  type RequestOp,
  type ResponseItem,
  WORK_BITS_MAX,
  workSeed,
} from '@qasid/protocol/envelope';

import { authRequest, checkUsername, createAccount, registerRequest } from './account.js';
import { sleep } from './clock.js';
import type { ConnectionStatus } from './connection.js';
import type { Engine, Platform } from './engine.js';
import { AccountError, LinkError, NetworkError } from './errors.js';
import type { Verdict } from './link.js';
import { isLinkText } from './linking/link-text.js';
import { provedAgain } from './linking/removed.js';
import { isJoinPending, joinedChange, joinRequest, outdated } from './linking/joining.js';
import { findWork } from './work.js';
import type { ConnectionLease, Profile } from './stores/port.js';

/** How long to wait for another process to let go of the connection. */
const LEASE_TIMEOUT_MS = 5_000;
const LEASE_RETRY_MS = 50;

/** Failed attempts to reach the relay before `register` says so. A person is waiting. */
const FAILURES_MAX = 3;

/** Demands for work in one registration. An honest relay asks once; its answer may be late. */
const DEMANDS_MAX = 3;

/** What a new account brings to its relay. */
export interface RegisterOptions {
  /** 3 to 32 of `a-z 0-9 _ . -`; without one, people find the account by its id. */
  readonly username?: string;
  /** `qasid-invite:…`, for a relay that takes members by invite. */
  readonly invite?: string;
  /** JSON Web Token that the application's backend signed, for a relay that leaves it to decide. */
  readonly ticket?: string;
}

/** An account, and the engine that runs for it. */
export interface Registered {
  readonly profile: Profile;
  readonly engine: Engine;
}

/** The same, checked; or the stored grant. */
interface Wanted extends Omit<RegisterOptions, 'invite'> {
  readonly invite: Bytes | undefined;
  readonly join: boolean;
}

interface Attempt {
  readonly username: string | undefined;
  readonly invite: Bytes | undefined;
  readonly ticket: string | undefined;
  /** Join the account of a stored grant instead of making one. */
  readonly join: boolean;
  /** Zero bits the relay asked for before it gave the next challenge. */
  workBits: number;
  /** Times it asked for work. */
  demands: number;
  /** Log in rather than register: the relay may have the account. */
  tryAuth: boolean;
  /** Times the relay refused each way; ends a relay that answers neither. */
  refusals: number;
  failures: number;
  done(profile: Profile): void;
  failed(error: Error): void;
}

/** Proves this device to the relay, and registers it. */
export class Registrar {
  readonly #platform: Platform;
  #attempt: Attempt | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Throws as `QasidClient.register`. The engine runs when this resolves. */
  async register(
    registration: RegisterOptions,
    makeEngine: (profile: Profile) => Engine,
  ): Promise<Registered> {
    if (registration.username !== undefined) checkUsername(registration.username);
    const invite = checkInvite(registration.invite);
    if (await isJoinPending(this.#platform.store)) {
      throw new AccountError('ACCOUNT_EXISTS', 'this profile is joining an account: link it again');
    }
    return this.#start({ ...registration, invite, join: false }, makeEngine);
  }

  /**
   * Have the relay take over this device, whose grant is stored. The engine runs when this resolves.
   *
   * @throws LinkError `LINK_OUTDATED`, `LINK_TOO_MANY`; NetworkError; StoreError.
   */
  async join(makeEngine: (profile: Profile) => Engine): Promise<Registered> {
    return this.#start({ invite: undefined, join: true }, makeEngine);
  }

  async #start(
    registration: Wanted,
    makeEngine: (profile: Profile) => Engine,
  ): Promise<Registered> {
    const { store, crypto, clock } = this.#platform;
    const lease = await this.#takeLease();
    if ('registered' in lease) {
      // Another process of this profile was quicker.
      const engine = makeEngine(lease.registered);
      engine.start();
      return { profile: lease.registered, engine };
    }
    try {
      const present =
        (await store.loadProfile()) ?? (await createAccount(crypto, store, clock.now()));
      const engine = makeEngine(present);
      const profile = await this.#run(present, registration, engine, lease);
      return { profile, engine };
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  async #run(
    present: Profile,
    registration: Wanted,
    engine: Engine,
    lease: ConnectionLease,
  ): Promise<Profile> {
    try {
      return await new Promise<Profile>((resolve, reject) => {
        this.#attempt = {
          username: registration.username,
          invite: registration.invite,
          ticket: registration.ticket,
          join: registration.join,
          workBits: 0,
          demands: 0,
          tryAuth: present.registration !== 'local' && !registration.join,
          refusals: 0,
          failures: 0,
          done: resolve,
          failed: reject,
        };
        engine.start(lease);
      });
    } catch (error) {
      await engine.stop();
      throw error;
    } finally {
      this.#attempt = undefined;
    }
  }

  /** The connection changed its state. */
  status(status: ConnectionStatus, problem: NetworkError | undefined): void {
    const attempt = this.#attempt;
    if (attempt === undefined || status !== 'backing-off') return;
    attempt.failures++;
    if (attempt.failures < FAILURES_MAX) return;
    attempt.failed(problem ?? new NetworkError('NET_UNREACHABLE', 'relay cannot be reached'));
  }

  /** The answer to a challenge. */
  async prove(challenge: ChallengeEvent): Promise<RequestOp> {
    const { store, crypto } = this.#platform;
    const profile = await store.loadProfile();
    if (profile === undefined) throw new AccountError('ACCOUNT_NOT_REGISTERED', 'no account here');
    const attempt = this.#attempt;
    if (profile.registration === 'registered' || attempt === undefined || attempt.tryAuth) {
      return authRequest(crypto, profile, challenge);
    }
    const { username, invite, ticket } = attempt;
    const relayEpoch = challenge.epoch;
    if (attempt.join) {
      await store.commit({ extra: { profile: { ...profile, relayEpoch } } });
      return joinRequest(crypto, store, profile, challenge);
    }
    await store.commit({
      extra: { profile: { ...profile, registration: 'asked', username, relayEpoch } },
    });
    const work = await this.#work(attempt, profile, challenge);
    const admission = {
      ...(username !== undefined && { username }),
      ...(invite && { invite }),
      ...(ticket !== undefined && { ticket }),
      ...(work && { work }),
    };
    return registerRequest(crypto, store, profile, admission, challenge);
  }

  /** What the relay asked for before this challenge, if anything. */
  async #work(
    attempt: Attempt,
    profile: Profile,
    challenge: ChallengeEvent,
  ): Promise<Bytes | undefined> {
    const { workBits: bits } = attempt;
    if (bits === 0) return undefined;
    attempt.workBits = 0;
    const { crypto, clock } = this.#platform;
    const { relayId, nonce } = challenge;
    const account = parseAccountText(profile.account);
    const seed = workSeed(crypto, { relayId, nonce, account });
    return findWork(crypto, clock, seed, bits, () => this.#attempt === attempt);
  }

  /** What the relay said to it. */
  async proved(answer: ResponseItem): Promise<Verdict> {
    const attempt = this.#attempt;
    const { store } = this.#platform;
    if (attempt === undefined) return provedAgain(store, answer);
    const profile = await store.loadProfile();
    if (profile === undefined) return 'refused';
    if (answer.code === 'CONFIRMED') {
      const registered: Profile = { ...profile, registration: 'registered' };
      const self = await store.loadContact(profile.account);
      const joined = attempt.join ? await joinedChange(this.#platform, registered) : {};
      await store.commit({
        extra: {
          profile: registered,
          ...(self && { contacts: [{ ...self, username: profile.username }] }),
          ...joined,
        },
      });
      attempt.done(registered);
      return 'ready';
    }
    if (answer.code === 'WORK_REQUIRED' && answer.body.kind === 'work') {
      attempt.workBits = answer.body.bits;
      attempt.demands++;
      if (attempt.demands <= DEMANDS_MAX && attempt.workBits <= WORK_BITS_MAX) {
        return 'next-challenge';
      }
      attempt.failed(new NetworkError('NET_REFUSED', 'relay asks for more work than is honest'));
      return 'refused';
    }
    if (attempt.join && answer.code !== 'REFUSED') {
      const full = answer.code === 'TOO_LARGE';
      attempt.failed(
        full ? new LinkError('LINK_TOO_MANY', 'the relay takes no more devices') : outdated(),
      );
      return 'refused';
    }
    const refusal = refusalOf(answer.code);
    if (refusal !== undefined) {
      // The account is not at the relay: the next try may bring another name, invite or ticket.
      const local: Profile = { ...profile, registration: 'local', username: undefined };
      await store.commit({ extra: { profile: local } });
      attempt.failed(refusal);
      return 'refused';
    }
    attempt.refusals++;
    if (attempt.refusals > 2) {
      attempt.failed(
        attempt.join ? outdated() : new NetworkError('NET_REFUSED', `relay answers ${answer.code}`),
      );
      return 'refused';
    }
    attempt.tryAuth = !attempt.tryAuth;
    return 'again';
  }

  /** End a registration that is going on. */
  async close(): Promise<void> {
    this.#attempt?.failed(new NetworkError('NET_CLOSED', 'this client was closed'));
  }

  /** The right to connect, or the account that another process has registered meanwhile. */
  async #takeLease(): Promise<ConnectionLease | { readonly registered: Profile }> {
    const { store, clock } = this.#platform;
    for (let waited = 0; ; waited += LEASE_RETRY_MS) {
      const lease = await store.ownConnection();
      if (lease !== undefined) return lease;
      const profile = await store.loadProfile();
      if (profile?.registration === 'registered') return { registered: profile };
      if (waited >= LEASE_TIMEOUT_MS) {
        throw new StoreError('STORE_LOCKED', 'another process of this profile is connected');
      }
      await sleep(clock, LEASE_RETRY_MS);
    }
  }
}

/** @throws AccountError `ACCOUNT_INVITE_INVALID` for a text that is no invite. */
function checkInvite(text: string | undefined): Bytes | undefined {
  if (text === undefined) return undefined;
  const invite = parseInviteText(text);
  if (invite !== undefined) return invite;
  if (isLinkText(text)) {
    // ATK-G02: whoever hands this out wants a device of ours to join, or ours to join theirs.
    throw new AccountError('ACCOUNT_INVITE_INVALID', 'this code links a device; it is no invite');
  }
  throw new AccountError('ACCOUNT_INVITE_INVALID', 'an invite begins with qasid-invite:');
}

/** A refusal that stands until the person, or the application, brings something else. */
function refusalOf(code: RelayCode): AccountError | undefined {
  switch (code) {
    case 'USERNAME_TAKEN':
      return new AccountError('ACCOUNT_NAME_TAKEN', 'the username is taken');
    case 'INVITE_INVALID':
      return new AccountError('ACCOUNT_INVITE_INVALID', 'the relay takes no such invite');
    case 'TICKET_INVALID':
      return new AccountError('ACCOUNT_TICKET_INVALID', 'the relay takes no such ticket');
    case 'USER_REGISTERED':
      return new AccountError('ACCOUNT_USER_REGISTERED', 'this user has an account already');
    case 'REGISTRATION_CLOSED':
      return new AccountError('ACCOUNT_REGISTRATION_CLOSED', 'the relay takes nobody new');
    default:
      return undefined;
  }
}
