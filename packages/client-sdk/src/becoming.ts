/**
 * How a client gets its account: it registers one, joins one, or another process of its profile did.
 */
import { AccountError, NetworkError } from './errors.js';
import type { Engine, Platform } from './engine.js';
import type { History } from './history.js';
import { isJoinPending, joinAccount, type JoinOptions } from './linking/join-account.js';
import type { Registered, RegisterOptions, Registrar } from './registrar.js';
import type { Profile } from './stores/port.js';

/** What becoming somebody needs of its client. */
export interface BecomingOptions {
  readonly platform: Platform;
  readonly registrar: Registrar;
  readonly history: Pick<History, 'until'>;
  profile(): Profile | undefined;
  engine(): Engine | undefined;
  isClosed(): boolean;
  make(profile: Profile): Engine;
  /** This is the account from now on, and its engine runs. */
  became(registered: Registered): void;
  /** Start an engine for the account that another process made. */
  run(profile: Profile): void;
}

/** The ways to an account, one at a time. */
export class Becoming {
  readonly #options: BecomingOptions;
  #under = false;

  constructor(options: BecomingOptions) {
    this.#options = options;
  }

  /** Throws as `QasidClient.register`. */
  async register(options: RegisterOptions): Promise<void> {
    const { registrar, make, profile } = this.#options;
    const { username } = options;
    const present = profile();
    if (present?.registration === 'registered') {
      if (username === undefined || present.username === username) return;
      throw otherName();
    }
    await this.#become(() => registrar.register(options, make));
    if (username !== undefined && profile()?.username !== username) throw otherName();
  }

  /** Join an account; without options, only go on with what another device granted. Throws as `QasidClient.link`. */
  async join(options: JoinOptions | undefined): Promise<void> {
    const { platform, registrar, make, profile } = this.#options;
    if (profile()?.registration === 'registered') {
      throw new AccountError('ACCOUNT_EXISTS', 'this profile has an account already');
    }
    await this.#become(() => joinAccount(platform, options, registrar, make));
  }

  /** Go on with a linking that was interrupted when the other device had given its word. */
  async resume(): Promise<void> {
    if (await isJoinPending(this.#options.platform.store)) await this.join(undefined);
  }

  /** Another process may register this profile while this one is open. */
  async awaitAccount(): Promise<void> {
    const { platform, history, engine, run } = this.#options;
    const found = await history
      .until(async () => {
        if (engine() !== undefined) return null;
        const profile = await platform.store.loadProfile();
        return profile?.registration === 'registered' ? profile : undefined;
      }, undefined)
      .catch(() => null);
    if (!found || engine() !== undefined || this.#under) return;
    run(found);
  }

  async #become(start: () => Promise<Registered>): Promise<void> {
    const { engine, isClosed, became } = this.#options;
    // Until the new engine is in its place, awaitAccount must not put another one there.
    this.#under = true;
    try {
      const registered = await start();
      if (isClosed()) {
        // Closed meanwhile: nobody else knows of this engine.
        await registered.engine.stop();
        throw new NetworkError('NET_CLOSED', 'this client was closed');
      }
      became(registered);
    } finally {
      this.#under = false;
      if (engine() === undefined) void this.awaitAccount();
    }
  }
}

function otherName(): AccountError {
  return new AccountError('ACCOUNT_EXISTS', 'this profile has an account under another name');
}
