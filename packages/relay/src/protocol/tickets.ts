/**
 * 13 Relay §14. Tickets: what one blob may be used for, by whom is left out. Pure; the MAC is the caller's.
 *
 *   0x01 ‖ action (1) ‖ blob id (32) ‖ size (8) ‖ expiry (8) ‖ budget (8) ‖ key id (4) ‖ MAC (32)
 */
import { BLOB_ACTIONS, type Bytes, copyBytes, samePublicBytes } from '@qasid/protocol/envelope';

/** What a ticket allows. */
export type TicketAction = 'read' | 'write';

/** A ticket as its MAC covers it. */
export interface Ticket {
  readonly action: TicketAction;
  /** 32 bytes. */
  readonly id: Bytes;
  /** Bytes of the blob. */
  readonly size: number;
  /** Second of expiry, since 1970, by the relay's own clock. */
  readonly expires: number;
  /** 8 bytes: whose budget is used. A keyed hash of the account that changes when the relay is restarted. */
  readonly budget: Bytes;
}

/** A key to make and check MACs with. */
export interface TicketKey {
  /** 4 bytes. */
  readonly id: Uint8Array;
  /** HMAC-SHA-256, 32 bytes. */
  mac(message: Uint8Array): Uint8Array;
}

/** The bytes of a ticket. */
export function sealTicket(key: TicketKey, ticket: Ticket): Bytes {
  const out = new Uint8Array(TICKET_BYTES);
  const view = new DataView(out.buffer);
  out.set([VERSION, BLOB_ACTIONS[ticket.action]]);
  out.set(ticket.id, 2);
  view.setBigUint64(34, BigInt(ticket.size));
  view.setBigUint64(42, BigInt(ticket.expires));
  out.set(ticket.budget, 50);
  out.set(key.id, 58);
  out.set(key.mac(out.subarray(0, MACED_BYTES)), MACED_BYTES);
  return out;
}

/**
 * The ticket, if it is one of ours for this blob and this action and has not expired. One answer for
 * everything that is wrong with it.
 *
 * @param isEqual - Compares in constant time.
 */
export function openTicket(
  keys: readonly TicketKey[],
  bytes: Uint8Array,
  wanted: { readonly action: TicketAction; readonly id?: Uint8Array; readonly nowSeconds: number },
  isEqual: (a: Uint8Array, b: Uint8Array) => boolean,
): Ticket | undefined {
  if (bytes.length !== TICKET_BYTES || bytes[0] !== VERSION) return undefined;
  const key = keys.find(({ id }) => samePublicBytes(id, bytes.subarray(58, MACED_BYTES)));
  if (!key) return undefined;
  const mac = key.mac(bytes.subarray(0, MACED_BYTES));
  if (!isEqual(mac, bytes.subarray(MACED_BYTES))) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const ticket: Ticket = {
    action: wanted.action,
    id: copyBytes(bytes.subarray(2, 34)),
    size: Number(view.getBigUint64(34)),
    expires: Number(view.getBigUint64(42)),
    budget: copyBytes(bytes.subarray(50, 58)),
  };
  if (bytes[1] !== BLOB_ACTIONS[wanted.action]) return undefined;
  if (ticket.expires <= wanted.nowSeconds) return undefined;
  if (wanted.id && !samePublicBytes(ticket.id, wanted.id)) return undefined;
  return ticket;
}

const VERSION = 1;
const MACED_BYTES = 62;
const TICKET_BYTES = 94;
