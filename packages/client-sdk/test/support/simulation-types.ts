// What a simulation is asked for, what comes of it, and who takes part.
import type { QasidClient } from '@qasid/client-sdk';
import type { Lies, Mortal } from '@qasid/client-sdk/testing';

import { WatchedStore, type Reader, type Tally } from './simulation-book.js';
import type { EvilRelay, Malice } from './simulation-relay.js';

/** What happens in a run. */
export interface Plan {
  readonly seed: number;
  /** Texts, edits, reactions and deletions to write, at least. */
  readonly messages: number;
  /** People; the first has two devices. */
  readonly people: number;
  /** The relay is evil, most of the time. */
  readonly evil: boolean;
  readonly malice?: Malice;
  /** Messages go without their sender's name where they can. */
  readonly sealed: boolean;
  /** Programs die, also while they register. */
  readonly deaths: boolean;
  /** They make groups, change them and write into them. */
  readonly groups: boolean;
  /** Connections break, people are cut off, the relay dies. */
  readonly outages: boolean;
}

/** How a run ended. */
export interface Outcome {
  /** What must not have happened; empty after a good run. */
  readonly problems: readonly string[];
  /** Texts that were written. */
  readonly messages: number;
  /** Edits, reactions and deletions. */
  readonly changes: number;
  readonly deaths: number;
  readonly relayDeaths: number;
  readonly undecryptable: number;
  /** Of all devices together. */
  readonly tally: Tally;
  /** Messages into groups that were encrypted, changes that were tried, and forks that people decided. */
  readonly groups: { readonly sealed: number; readonly changes: number; readonly forks: number };
  readonly lies: ReadonlyMap<string, number>;
  /** Milliseconds of the run's own time. */
  readonly virtualMs: number;
  /** Of everything that anybody was told, in order. Equal: the runs were equal. */
  readonly trace: string;
}

/** One device and the lives of its program. */
export class Actor implements Reader {
  readonly name: string;
  readonly username: string;
  readonly store = new WatchedStore();
  readonly lies: Lies;
  /** Known accounts: those whose key it has pinned. */
  readonly pinned = new Set<string>();
  account = '';
  device = 1;
  client: QasidClient | undefined;
  mortal: Mortal | undefined;
  life = 0;
  startsAtMs = 0;

  constructor(name: string, username: string, relay: EvilRelay) {
    this.name = name;
    this.username = username;
    this.lies = relay.lies(name, (account) => this.pinned.has(account) || account === this.account);
  }

  get isDead(): boolean {
    return this.client === undefined || this.mortal?.isDead !== false;
  }
}
