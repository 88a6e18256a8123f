/**
 * One person in a process of their own, whichever software they use: what the driver tells them to do, and
 * what they measured.
 */
import type { Device } from '../relay/people.js';

/** What a person runs. */
export type Kind = 'qasid' | 'libsignal' | 'plain';

/** How a person starts. */
export interface PartyOptions {
  readonly kind: Kind;
  readonly port: number;
  readonly directory: string;
  /** Of the SDK: user name, encryption of the store, and whether the relay sees who sends. */
  readonly username: string;
  readonly passphrase?: string;
  readonly sealed: boolean;
  readonly receipts: boolean;
  /** Of the others: an account that is registered already. */
  readonly device?: Device;
}

/** What somebody must know to write to a person. */
export interface Address {
  readonly username: string;
  readonly device?: Pick<Device, 'account' | 'device' | 'registrationId'>;
  /** A prekey bundle in parts. */
  readonly bundle?: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
}

/** What a load needs of a person. */
export interface Party {
  address(): Promise<Address>;
  /** Resolves when a message can be sent. Whoever is told `true` has to write first. */
  meet(other: Address): Promise<void>;
  /** Resolves when it is durable here. */
  send(text: string): Promise<{ readonly confirmed: Promise<void> }>;
  /** A text that is stored durably. */
  onText: (text: string) => void;
  offline(): Promise<void>;
  online(): Promise<void>;
  close(): Promise<void>;
}

/** What a person is told to do. Answers come with the same `id`. */
export type Order =
  | { readonly do: 'address' }
  | { readonly do: 'meet'; readonly other: Address }
  /** Answer every message. */
  | { readonly do: 'echo'; readonly on: boolean }
  /** Write and wait for the answer, so many times. */
  | { readonly do: 'talk'; readonly count: number }
  /** Write so many without waiting for anything but the own disk. */
  | { readonly do: 'stream'; readonly count: number }
  /** Begin to count what comes. */
  | { readonly do: 'listen'; readonly count: number }
  /** Resolve when all of it came. */
  | { readonly do: 'heard' }
  | { readonly do: 'offline' }
  | { readonly do: 'online' }
  /** Processor time since the last question, and memory. */
  | { readonly do: 'usage' }
  | { readonly do: 'group'; readonly members: readonly string[] }
  | { readonly do: 'group-send'; readonly id: string; readonly count: number }
  | { readonly do: 'close' };

/** Latencies in milliseconds, and when it was over. */
export interface Heard {
  /** From `send` to stored and shown at the other side. */
  readonly latenciesMs: readonly number[];
  /** `process.hrtime`, which all processes of a machine share. */
  readonly firstNs: bigint;
  readonly lastNs: bigint;
}

/** What sending took. */
export interface Sent {
  readonly startNs: bigint;
  /** The last one was durable here. */
  readonly storedNs: bigint;
  /** The relay had confirmed the last one. */
  readonly confirmedNs: bigint;
}

/** What a person used since they were asked last. */
export interface Usage {
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** Bytes that went to the relay. SDK only. */
  readonly sentBytes: number;
}
