/**
 * 13 Relay. The use cases of one relay, put together over its ports.
 */
import { relaySecret } from '../data-directory.js';
import type { PushWays } from '../push/open.js';
import { Accounts } from './accounts.js';
import { Admission } from './admission.js';
import { Anonymous } from './anonymous.js';
import { ArrivalCheck } from './arrival-check.js';
import { BlobDesk, type BlobParts } from './blobs.js';
import type { Context } from './context.js';
import { Mailboxes } from './mailboxes.js';
import { Prekeys } from './prekeys.js';
import { Presence } from './presence.js';
import { Records } from './records.js';
import { type TicketKey, Tickets } from './tickets.js';
import { Turn } from './turn.js';
import { WakeUps } from './wake-ups.js';
import { Rendezvous } from './rendezvous.js';
import { Tokens } from './tokens.js';
import { Transfers } from './uploads.js';

/** A connection, as far as shutting down needs it. */
export interface Drainable {
  /** Whether its device has proven itself and is delivered to. */
  readonly isAttached: boolean;
  /** Used without an account. */
  readonly isAnonymous: boolean;
  /** Bytes on their way to it. */
  readonly bufferedBytes: number;
  drain(afterMs: number): void;
  end(reason: 'RESTART' | 'INTERNAL'): void;
}

/** Everything routes need. */
export interface Services {
  readonly context: Context;
  readonly presence: Presence;
  readonly accounts: Accounts;
  readonly mailboxes: Mailboxes;
  readonly wakeUps: WakeUps;
  readonly prekeys: Prekeys;
  readonly tokens: Tokens;
  readonly anonymous: Anonymous;
  readonly arrivalCheck: ArrivalCheck;
  readonly records: Records;
  readonly blobs: BlobDesk;
  /** The bytes of blobs, in a relay that has them. */
  readonly transfers: Transfers | undefined;
  readonly turn: Turn;
  readonly rendezvous: Rendezvous;
  readonly connections: Set<Drainable>;
}

/** What only some relays have. */
export interface OptionalParts {
  /** Shared with the TURN server. */
  readonly turnSecret?: Uint8Array;
  readonly blobParts?: BlobParts;
  /** Public keys of the host application's backend. */
  readonly ticketKeys: readonly TicketKey[];
}

/** The services over `context`. */
export function createServices(
  context: Context,
  push: PushWays,
  { turnSecret, blobParts, ticketKeys }: OptionalParts,
): Services {
  const presence = new Presence();
  const { config, crypto } = context;
  const tickets = new Tickets(
    config,
    ticketKeys,
    relaySecret(config.directory, crypto, 'qasid/tickets/1'),
  );
  const wakeUps = new WakeUps(context, presence, push);
  const mailboxes = new Mailboxes(context, presence, wakeUps);
  const prekeys = new Prekeys(context, presence);
  const blobs = new BlobDesk(context, blobParts);
  return {
    context,
    presence,
    accounts: new Accounts(context, presence, new Admission(context, tickets)),
    wakeUps,
    mailboxes,
    prekeys,
    tokens: new Tokens(context),
    anonymous: new Anonymous(context, mailboxes, prekeys),
    arrivalCheck: new ArrivalCheck(context, presence),
    records: new Records(context),
    blobs,
    transfers: blobParts && new Transfers(context, blobParts, blobs),
    turn: new Turn(context, turnSecret),
    rendezvous: new Rendezvous(context),
    connections: new Set(),
  };
}
