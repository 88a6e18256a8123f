/**
 * 13 Relay §2. Accounts: prove, register, look up, change devices.
 */
import {
  type AccountId,
  type AuthRequest,
  type CloseReason,
  type DeleteAccountRequest,
  type LinkRequest,
  NO_BODY,
  type RegisterRequest,
  type SignedDeviceList,
  toHex,
} from '@qasid/protocol/envelope';
import {
  checkDeviceList,
  checkLink,
  checkRegistration,
  isAuthentic,
  isDeletion,
  speaksVersion,
} from '../protocol/authorise.js';
import type { Authorised } from '../protocol/connection.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import type { MailboxNo } from '../store/port.js';
import type { SetAccountWrite } from '../store/port-admission.js';
import type { Admission, IssuedWork } from './admission.js';
import { type Context, limitUpload, storeRefusal } from './context.js';
import type { Presence } from './presence.js';

/** Outcome of a proof. */
export type Proof =
  | { readonly kind: 'good'; readonly who: Authorised }
  /** `close`: end the socket so; otherwise the client may try again with a new nonce. */
  | { readonly kind: 'bad'; readonly reply: Reply; readonly close: CloseReason | undefined };

/** The accounts of a relay. */
export class Accounts {
  readonly #context: Context;
  readonly #presence: Presence;
  readonly #admission: Admission;

  constructor(context: Context, presence: Presence, admission: Admission) {
    this.#context = context;
    this.#presence = presence;
    this.#admission = admission;
  }

  /** Check a device's answer to the challenge. */
  async authenticate(nonce: Uint8Array, op: AuthRequest, addressKey: string): Promise<Proof> {
    if (!speaksVersion(op.version)) return bad(refused('UNSUPPORTED'));
    const { store, crypto, relayId, budgets, clock } = this.#context;
    const nowMs = clock.monotonicMs();
    // Per address and device: a stranger's failures must not lock the owner out.
    const key = `${addressKey} ${toHex(op.account)} ${op.device}`;
    if (!budgets.failedAuth.wouldAllow(key, 1, nowMs)) {
      return bad(refused('RATE_LIMITED', 60_000));
    }
    try {
      const account = await store.account(op.account);
      const row = account?.devices.find(({ device }) => device === op.device);
      // For a device nobody knows the same work is done: the answer does not tell who exists.
      const authKey = row?.authKey ?? UNKNOWN_KEY;
      const isGood = isAuthentic(crypto, { relayId, nonce }, op, authKey);
      if (!isGood || row === undefined) {
        budgets.failedAuth.take(key, 1, nowMs);
        return bad(refused('REFUSED'));
      }
      if (account?.isSuspended) return bad(refused('SUSPENDED'), 'SUSPENDED');
      const { account: id, device } = op;
      return { kind: 'good', who: { account: id, device, mailbox: row.mailbox } };
    } catch (error) {
      // Nothing was found wrong with the proof: the client may try again on this socket.
      return again(storeRefusal(this.#context, error));
    }
  }

  /** Create an account, or confirm one that this very registration created before. */
  async register(issued: IssuedWork, op: RegisterRequest, addressKey: string): Promise<Proof> {
    const { nonce } = issued;
    if (!speaksVersion(op.version)) return bad(refused('UNSUPPORTED'));
    const { crypto, relayId, writer, budgets, clock, isDraining } = this.#context;
    if (isDraining) return again(refused('DRAINING', 2_000));
    const early = this.#admission.refuseEarly(op, issued);
    if (early !== undefined) return again(early);
    const nowMs = clock.monotonicMs();
    const wait =
      budgets.registrations?.take(addressKey, 1, nowMs) ||
      budgets.registrationsTotal.take('', 1, nowMs);
    if (wait) return again(refused('RATE_LIMITED', wait));
    const list = checkRegistration(crypto, { relayId, nonce }, op);
    const entry = list?.devices[0];
    if (list === undefined || entry === undefined) return bad(refused('REFUSED'));
    if (!op.prekeys.signed || !op.prekeys.lastResortKem) return again(refused('BAD_REQUEST'));
    try {
      const admitted = await this.#admission.admit(op);
      if ('code' in admitted) return again(admitted);
      const { account, identityKey, username, devices, prekeys, device } = op;
      const result = await writer.submit({
        kind: 'register',
        account,
        identityKey,
        ...(username !== undefined && { username }),
        signed: devices,
        version: list.version,
        entry,
        prekeys,
        minute: this.#minute(),
        freeMinute: this.#freeMinute(),
        ...admitted,
      });
      switch (result.kind) {
        case 'registered':
          this.#admission.registered();
          for (const mailbox of result.removed) this.#presence.get(mailbox)?.remove();
          return { kind: 'good', who: { account, device, mailbox: result.mailbox } };
        case 'usernameTaken':
          return again(refused('USERNAME_TAKEN'));
        case 'accountTaken':
          return again(refused('REFUSED'));
        case 'inviteInvalid':
          return again(refused('INVITE_INVALID'));
        case 'ticketUsed':
          return again(refused('TICKET_INVALID'));
        case 'userTaken':
          return again(refused('USER_REGISTERED'));
      }
    } catch (error) {
      return again(storeRefusal(this.#context, error));
    }
  }

  /**
   * Let a device join its account: the next device list and the prekeys of that device become visible
   * together. The list names the device, the account granted it, the device proves itself.
   */
  async link(nonce: Uint8Array, op: LinkRequest, addressKey: string): Promise<Proof> {
    if (!speaksVersion(op.version)) return bad(refused('UNSUPPORTED'));
    const { store, crypto, relayId, writer, budgets, clock, config, isDraining } = this.#context;
    if (isDraining) return again(refused('DRAINING', 2_000));
    const wait = budgets.links?.take(addressKey, 1, clock.monotonicMs());
    if (wait) return again(refused('RATE_LIMITED', wait));
    try {
      const row = await store.account(op.account);
      const list = checkLink(crypto, { relayId, nonce }, op, {
        identityKey: row?.identityKey ?? UNKNOWN_IDENTITY,
        nowSeconds: Math.floor(clock.nowMs() / 1000),
      });
      if (row === undefined || list === undefined) return bad(refused('REFUSED'));
      if (row.isSuspended) return bad(refused('SUSPENDED'), 'SUSPENDED');
      if (list.devices.length > config.devicesMax) return again(refused('TOO_LARGE'));
      if (!op.prekeys.signed || !op.prekeys.lastResortKem) return again(refused('BAD_REQUEST'));
      const { account, device, prekeys } = op;
      const result = await writer.submit({
        kind: 'putDevices',
        account,
        signed: op.devices,
        version: list.version,
        previous: list.previous,
        entries: list.devices,
        joining: { device, prekeys },
      });
      if (result.kind === 'noAccount') return bad(refused('REFUSED'));
      if (result.kind === 'versionConflict') return again(refused('VERSION_CONFLICT'));
      const { joined } = result;
      if (joined === undefined) return bad(refused('REFUSED'));
      this.#announce(account, list.version, result, joined);
      return { kind: 'good', who: { account, device, mailbox: joined } };
    } catch (error) {
      return again(storeRefusal(this.#context, error));
    }
  }

  /** Delete an account for the holder of its identity key; its sockets are closed. Always ends the socket. */
  async delete(nonce: Uint8Array, op: DeleteAccountRequest, addressKey: string): Promise<Proof> {
    const { store, crypto, relayId, budgets, clock } = this.#context;
    const nowMs = clock.monotonicMs();
    const key = `${addressKey} ${toHex(op.account)} ${op.device}`;
    if (!budgets.failedAuth.wouldAllow(key, 1, nowMs)) {
      return bad(refused('RATE_LIMITED', 60_000));
    }
    try {
      const row = await store.account(op.account);
      const identityKey = row?.identityKey ?? UNKNOWN_IDENTITY;
      const isGood = isDeletion(crypto, { relayId, nonce }, op, identityKey);
      if (!isGood || row === undefined) {
        budgets.failedAuth.take(key, 1, nowMs);
        return bad(refused('REFUSED'));
      }
      await this.remove(op.account);
      return bad(CONFIRMED, 'REMOVED');
    } catch (error) {
      return again(storeRefusal(this.#context, error));
    }
  }

  /** Delete an account with everything that belongs to it. Whether there was one. */
  async remove(account: AccountId): Promise<boolean> {
    const write = { kind: 'deleteAccount', account, freeMinute: this.#freeMinute() } as const;
    const result = await this.#context.writer.submit(write);
    if (result.kind === 'noAccount') return false;
    for (const mailbox of result.mailboxes) this.#presence.get(mailbox)?.remove();
    return true;
  }

  /** Suspend or resume an account, or set its quota. Whether there is one. Sockets of a suspended one close. */
  async set(
    account: AccountId,
    change: Pick<SetAccountWrite, 'isSuspended' | 'mailboxBytesMax'>,
  ): Promise<boolean> {
    const write = { kind: 'setAccount', account, ...change } as const;
    const result = await this.#context.writer.submit(write);
    if (result.kind === 'noAccount') return false;
    if (change.isSuspended) {
      for (const mailbox of result.mailboxes) this.#presence.get(mailbox)?.end('SUSPENDED');
    }
    return true;
  }

  /** A device has proven itself: note the day, once a day. Nobody waits for it. */
  noteSeen(who: Authorised, seenDay: number): void {
    const day = Math.floor(this.#context.clock.nowMs() / DAY_MS);
    if (day === seenDay) return;
    const { account, mailbox } = who;
    const write = { kind: 'seen', account, mailbox, day } as const;
    // A store that fails has said so, and tomorrow is another day.
    this.#context.writer.submit(write).catch(() => undefined);
  }

  /** Take a name for one's own account, change it, or give it up. */
  async setUsername(who: Authorised, username: string | undefined): Promise<Reply> {
    const limited = limitUpload(this.#context, who.mailbox);
    if (limited !== undefined) return limited;
    // Whether a name is taken is what a look-up tells: the same budget (ATK-D11).
    const probing = username === undefined ? undefined : this.#limitLookup(who);
    if (probing !== undefined) return probing;
    try {
      const result = await this.#context.writer.submit({
        kind: 'setUsername',
        account: who.account,
        ...(username !== undefined && { username }),
        minute: this.#minute(),
        freeMinute: this.#freeMinute(),
      });
      if (result.kind === 'usernameTaken') return refused('USERNAME_TAKEN');
      return result.kind === 'named' ? CONFIRMED : refused('REFUSED');
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** The account behind a user name. A name nobody has costs and says the same (ATK-D11). */
  async lookup(who: Authorised, username: string): Promise<Reply> {
    const limited = this.#limitLookup(who);
    if (limited !== undefined) return limited;
    try {
      const account = await this.#context.store.lookup(username);
      if (account === undefined) return refused('NOT_FOUND');
      return confirmed({ kind: 'found', account });
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Identity key and signed device list of an account. */
  async devices(who: Authorised, account: AccountId): Promise<Reply> {
    // One's own devices are not somebody else's secret.
    const isOwn = toHex(account) === toHex(who.account);
    const limited = isOwn ? undefined : this.#limitLookup(who);
    if (limited !== undefined) return limited;
    try {
      const row = await this.#context.store.account(account);
      if (row === undefined) return refused('NOT_FOUND');
      const { identityKey, signed, username } = row;
      return confirmed({
        kind: 'devices',
        identityKey,
        devices: signed,
        ...(username !== undefined && { username }),
      });
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Replace the device list of one's own account by the next version, signed by its identity key. */
  async putDevices(who: Authorised, devices: SignedDeviceList): Promise<Reply> {
    const { store, crypto, writer, config, epoch } = this.#context;
    const limited = limitUpload(this.#context, who.mailbox);
    if (limited !== undefined) return limited;
    try {
      const row = await store.account(who.account);
      if (row === undefined) return refused('REFUSED');
      const list = checkDeviceList(crypto, devices, {
        account: who.account,
        identityKey: row.identityKey,
        versionMin: 1,
      });
      if (list === undefined) return refused('REFUSED');
      if (list.devices.length > config.devicesMax) return refused('TOO_LARGE');
      const result = await writer.submit({
        kind: 'putDevices',
        account: who.account,
        signed: devices,
        version: list.version,
        mayJump: epoch !== 0,
        previous: list.previous,
        entries: list.devices,
      });
      if (result.kind === 'noAccount') return refused('REFUSED');
      if (result.kind === 'versionConflict') {
        return refused('VERSION_CONFLICT', 0, NO_BODY);
      }
      this.#announce(who.account, list.version, result, who.mailbox);
      return CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Close the sockets of devices that left, tell those that stay, except the one that made the change. */
  #announce(
    account: AccountId,
    version: number,
    change: { readonly removed: readonly MailboxNo[]; readonly members: readonly MailboxNo[] },
    except: MailboxNo,
  ): void {
    for (const mailbox of change.removed) this.#presence.get(mailbox)?.remove();
    for (const mailbox of change.members) {
      if (mailbox === except) continue;
      this.#presence.get(mailbox)?.tell({ kind: 'devicesChanged', account, version });
    }
  }

  #minute(): number {
    return Math.floor(this.#context.clock.nowMs() / 60_000);
  }

  /** When a name that is given up now may be taken again. */
  #freeMinute(): number {
    return this.#minute() + this.#context.config.usernameHoldDays * 24 * 60;
  }

  #limitLookup(who: Authorised): Reply | undefined {
    const { budgets, clock } = this.#context;
    const nowMs = clock.monotonicMs();
    const wait =
      budgets.lookups.take(String(who.mailbox), 1, nowMs) ||
      budgets.lookupsTotal.take('', 1, nowMs);
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }
}

function bad(reply: Reply, close: CloseReason = 'UNAUTHORISED'): Proof {
  return { kind: 'bad', reply, close };
}

function again(reply: Reply): Proof {
  return { kind: 'bad', reply, close: undefined };
}

/** Some point of the curve, so that checking costs what it costs for a real key. No verdict rests on it. */
const UNKNOWN_KEY = new Uint8Array(32).fill(0x66).with(0, 0x58);

/** The same for an identity key: the u-coordinate of the base point. */
const UNKNOWN_IDENTITY = new Uint8Array(33).fill(5, 0, 1).fill(9, 1, 2);

const DAY_MS = 24 * 60 * 60 * 1000;
