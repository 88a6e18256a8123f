/**
 * Registration: an account that exists here becomes one that exists at the relay. Safe to interrupt anywhere.
 *
 * `local` ─► `asked` is stored before the request leaves. Whoever starts in `asked` does not know whether
 * the relay heard it, so it first tries to log in, and registers only when that is refused: prekeys are
 * never published twice.
 */
import { StoreError } from '@qasid/protocol';
import type { ChallengeEvent, RequestOp, ResponseItem } from '@qasid/protocol/envelope';

import { authRequest, checkUsername, createAccount, registerRequest } from './account.js';
import { sleep } from './clock.js';
import type { ConnectionStatus } from './connection.js';
import type { Engine, Platform } from './engine.js';
import { AccountError, NetworkError } from './errors.js';
import type { Verdict } from './link.js';
import type { ConnectionLease, Profile } from './stores/port.js';

/** How long to wait for another process to let go of the connection. */
const LEASE_TIMEOUT_MS = 5_000;
const LEASE_RETRY_MS = 50;

/** Failed attempts to reach the relay before `register` says so. A person is waiting. */
const FAILURES_MAX = 3;

interface Attempt {
  readonly username: string;
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
    username: string,
    makeEngine: (profile: Profile) => Engine,
  ): Promise<{ readonly profile: Profile; readonly engine: Engine }> {
    checkUsername(username);
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
      const profile = await this.#run(present, username, engine, lease);
      return { profile, engine };
    } catch (error) {
      await lease.release();
      throw error;
    }
  }

  async #run(
    present: Profile,
    username: string,
    engine: Engine,
    lease: ConnectionLease,
  ): Promise<Profile> {
    try {
      return await new Promise<Profile>((resolve, reject) => {
        this.#attempt = {
          username,
          tryAuth: present.registration !== 'local',
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
    const { username } = attempt;
    const relayEpoch = challenge.epoch;
    await store.commit({
      extra: { profile: { ...profile, registration: 'asked', username, relayEpoch } },
    });
    return registerRequest(crypto, store, profile, username, challenge);
  }

  /** What the relay said to it. */
  async proved(answer: ResponseItem): Promise<Verdict> {
    const attempt = this.#attempt;
    if (attempt === undefined) return answer.code === 'CONFIRMED' ? 'ready' : 'refused';
    const { store } = this.#platform;
    const profile = await store.loadProfile();
    if (profile === undefined) return 'refused';
    if (answer.code === 'CONFIRMED') {
      const registered: Profile = { ...profile, registration: 'registered' };
      const self = await store.loadContact(profile.account);
      await store.commit({
        extra: {
          profile: registered,
          ...(self && { contacts: [{ ...self, username: profile.username }] }),
        },
      });
      attempt.done(registered);
      return 'ready';
    }
    if (answer.code === 'USERNAME_TAKEN') {
      // The account is not at the relay, so the next try may ask for another name.
      const local: Profile = { ...profile, registration: 'local', username: undefined };
      await store.commit({ extra: { profile: local } });
      attempt.failed(new AccountError('ACCOUNT_NAME_TAKEN', 'the username is taken'));
      return 'refused';
    }
    attempt.refusals++;
    if (attempt.refusals > 2) {
      attempt.failed(new NetworkError('NET_REFUSED', `relay answers ${answer.code}`));
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
