/**
 * What goes into the rules of the history, and what comes out of them beside rows.
 */
import type { Bytes, CryptoProvider } from '@qasid/protocol';

import type { Gap } from '../api.js';
import type { Content } from '../content/index.js';

/** A content, and where it stands. */
export interface Entry {
  /** The conversation: account of the other side, or a group's id as hex. */
  readonly peer: string;
  /** Account that made it, as the session proves. */
  readonly author: string;
  readonly device: number;
  readonly content: Content;
  /** As it came, with its link. */
  readonly bytes: Bytes;
  /** It came from the relay: not made by this device. */
  readonly arrived: boolean;
  /** The name the person wrote to, while nobody knows whose it is. */
  readonly peerName?: string | undefined;
}

/** Around an entry. */
export interface Surroundings {
  readonly crypto: Pick<CryptoProvider, 'sha256'>;
  readonly self: { readonly account: string; readonly device: number };
  /** This device's clock, milliseconds since 1970. */
  readonly nowMs: number;
}

/** Around something that a person decided here. */
export interface Deciding extends Surroundings {
  /** Content id under which other devices hear of it, as hex. */
  readonly id: string;
  /** When it was decided: may be moved past an earlier decision, when the clock was set back. */
  atMs: number;
}

/** What happened that nobody can see in the store afterwards. */
export type Happening =
  | ({ readonly kind: 'gap' } & Gap)
  | { readonly kind: 'request'; readonly peer: string }
  | {
      readonly kind: 'receipt';
      readonly peer: string;
      readonly account: string;
      readonly receipt: 'delivered' | 'read' | 'viewed';
      readonly ids: readonly string[];
    }
  | {
      readonly kind: 'typing';
      readonly peer: string;
      readonly account: string;
      readonly device: number;
      readonly started: boolean;
    }
  | { readonly kind: 'signal'; readonly entry: Entry }
  /** A transfer between devices of ours can go on. */
  | { readonly kind: 'transfer' };
