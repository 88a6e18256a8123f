/**
 * 13 Relay §2. The states of one client connection, and what each admits.
 *
 *   greeting ──auth, register──► checking ──good──► authorised ──► closing
 *      ▲                            │  └────bad────────────────────► closing
 *      └──── registration refused ──┘
 *
 *   greeting ──anonymous──► anonymous ──► closing
 *
 * Proofs are `auth`, `register`, `link` and `deleteAccount`. A nonce is spent by the first attempt, good or
 * bad; a refused registration gets a new one. A rendezvous takes place before any proof, and only there: who
 * has proven something is somebody, and the relay need not know who meets whom. For the same reason a socket
 * is anonymous or authorised for its whole life.
 */
import type { AccountId, CloseReason, RequestOp } from '@qasid/protocol/envelope';

/** The device behind an authorised connection. */
export interface Authorised {
  readonly account: AccountId;
  readonly device: number;
  /** The relay's own number of that mailbox. */
  readonly mailbox: number;
}

/** Where a connection stands. */
export type ConnectionState =
  | {
      readonly kind: 'greeting';
      readonly nonce: Uint8Array;
      readonly issuedAtMs: number;
      /** Zero bits demanded of a registration with this nonce; such a nonce holds for `WORK_MAX_MS`. */
      readonly workBits?: number;
    }
  | { readonly kind: 'checking' }
  | ({ readonly kind: 'authorised' } & Authorised)
  /** Used without an account. */
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'closing'; readonly reason: CloseReason };

/** What to do with a request. */
export type Admission =
  | { readonly kind: 'run' }
  /** Check a proof against `nonce`; the connection is in `checking` meanwhile. */
  | { readonly kind: 'prove'; readonly nonce: Uint8Array; readonly workBits: number }
  /** Make the connection anonymous. */
  | { readonly kind: 'hide' }
  /** Already done: answer `CONFIRMED`. */
  | { readonly kind: 'repeat' }
  /** Asked of a socket that has proven nothing; it may stay for `RENDEZVOUS_MAX_MS`. */
  | { readonly kind: 'meet' }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'close'; readonly reason: CloseReason };

/** A proof is to be checked. */
export type Proving = Extract<Admission, { readonly kind: 'prove' }>;

/** How long a nonce may be answered, in milliseconds. Lower: slow links fail. Higher: idle sockets stay. */
export const CHALLENGE_MAX_MS = 10_000;

/** How long a nonce may be worked for, in milliseconds. Lower: old telephones fail. Higher: sockets idle. */
export const WORK_MAX_MS = 180_000;

/** How long a socket may wait in a rendezvous, and a message in its slot, in milliseconds. */
export const RENDEZVOUS_MAX_MS = 300_000;

const PROOFS: ReadonlySet<RequestOp['kind']> = new Set([
  'auth',
  'register',
  'link',
  'deleteAccount',
]);

/** Decide about one request. Pure. `nowMs` is monotonic. */
export function admit(state: ConnectionState, op: RequestOp, nowMs: number): Admission {
  const isProof = PROOFS.has(op.kind);
  const isMeeting = op.kind === 'rendezvousPut' || op.kind === 'rendezvousTake';
  switch (state.kind) {
    case 'closing':
      return { kind: 'close', reason: state.reason };
    case 'greeting':
      if (needsNoProof(op)) return { kind: 'run' };
      if (isMeeting) return { kind: 'meet' };
      if (!isProof && op.kind !== 'anonymous') return { kind: 'refuse' };
      if (nowMs - state.issuedAtMs > (state.workBits ? WORK_MAX_MS : CHALLENGE_MAX_MS)) {
        return { kind: 'close', reason: 'UNAUTHORISED' };
      }
      return isProof
        ? { kind: 'prove', nonce: state.nonce, workBits: state.workBits ?? 0 }
        : { kind: 'hide' };
    case 'checking':
      if (needsNoProof(op)) return { kind: 'run' };
      // One nonce, one proof: a second one in flight is not honest.
      return isProof || op.kind === 'anonymous'
        ? { kind: 'close', reason: 'UNAUTHORISED' }
        : { kind: 'refuse' };
    case 'anonymous':
      if (isProof) return { kind: 'close', reason: 'UNAUTHORISED' };
      if (op.kind === 'anonymous') return { kind: 'repeat' };
      return { kind: needsNoProof(op) || isWithToken(op) ? 'run' : 'refuse' };
    case 'authorised':
      if (isMeeting) return { kind: 'refuse' };
      if (op.kind === 'anonymous') return { kind: 'close', reason: 'UNAUTHORISED' };
      // A token has no business where its holder is known: a client that mixes them up must not go on.
      if (isWithToken(op)) return { kind: 'refuse' };
      if (!isProof) return { kind: 'run' };
      // A client that registers and then authenticates on the same socket has proven both already.
      return op.kind === 'auth' && isSame(state, op)
        ? { kind: 'repeat' }
        : { kind: 'close', reason: 'UNAUTHORISED' };
  }
}

/** A record is protected by what its reader or writer knows, not by who they are. */
function needsNoProof({ kind }: RequestOp): boolean {
  return (
    kind === 'ping' ||
    kind === 'unknown' ||
    kind === 'recordGet' ||
    kind === 'recordPut' ||
    kind === 'recordDelete'
  );
}

/** Whether `op` is one that a token entitles to. */
function isWithToken(op: RequestOp): boolean {
  if (op.kind === 'sendMany') return true;
  const mayCarry = op.kind === 'send' || op.kind === 'takePrekeys' || op.kind === 'devices';
  return mayCarry && (op.token !== undefined || op.tokenId !== undefined);
}

function isSame(state: Authorised, op: { account: AccountId; device: number }): boolean {
  return (
    state.device === op.device && state.account.every((byte, index) => byte === op.account[index])
  );
}

/** Sends a connection has under way, against the credit it was announced. */
export interface Credit {
  readonly parts: number;
  readonly bytes: number;
}

/** Whether one more send fits: `over` answers `BUSY`, `abuse` closes. Pure. */
export function judgeCredit(
  limit: Credit,
  inFlight: Credit,
  more: Credit,
): 'fits' | 'over' | 'abuse' {
  const parts = inFlight.parts + more.parts;
  const bytes = inFlight.bytes + more.bytes;
  // An idle connection may always send one thing, however large: the frame limit bounds it.
  if (inFlight.parts === 0) return 'fits';
  if (parts <= limit.parts && bytes <= limit.bytes) return 'fits';
  return parts > 2 * limit.parts || bytes > 2 * limit.bytes ? 'abuse' : 'over';
}
