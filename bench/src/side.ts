/** What is measured, said once for both implementations. */
import type { Formats } from './formats.js';

/** A message on its way, whatever the implementation calls it. */
export interface Message {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Two devices with an answered session. */
export interface Pair {
  /** Encrypt at party `from` (0 or 1) and keep the new state. */
  send(from: 0 | 1, text: Uint8Array): Promise<Message> | Message;
  /** Decrypt at party `to` and keep the new state. */
  receive(to: 0 | 1, message: Message): Promise<Uint8Array> | Uint8Array;
}

/** How state is kept between steps. */
export type Keeping =
  /** A serialised record after every step, in a store in memory, as an application would write it. */
  | 'stored'
  /** Objects in memory, never serialised. */
  | 'held';

/** An implementation. */
export interface Side {
  readonly name: string;
  /** Identity, signed prekey, KEM prekey and one-time prekey of a device, made and signed. */
  makePrekeys(): Promise<void> | void;
  /**
   * Make what a set-up needs beforehand, and give the set-up: the initiator takes a bundle and encrypts the
   * first message, the responder opens it, both keep their records.
   */
  prepareSetUp(keeping: Keeping): Promise<() => Promise<void>>;
  /** Two devices; the first answer has been received. */
  pair(keeping: Keeping): Promise<Pair>;
  /** Groups, sealed sender and the rest. */
  formats(): Formats | Promise<Formats>;
}
