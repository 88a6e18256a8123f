/**
 * 13 Relay §2. Accounts: prove, register, look up, change devices.
 */
import {
  type AccountId,
  type AuthRequest,
  NO_BODY,
  type RegisterRequest,
  type SignedDeviceList,
  toHex,
} from '@qasid/protocol/envelope';
import {
  checkDeviceList,
  checkRegistration,
  isAuthentic,
  speaksVersion,
} from '../protocol/authorise.js';
import type { Authorised } from '../protocol/connection.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import { type Context, limitUpload, storeRefusal } from './context.js';
import type { Presence } from './presence.js';

/** Outcome of a proof. */
export type Proof =
  | { readonly kind: 'good'; readonly who: Authorised }
  /** `isFinal`: close; otherwise the client may try again with a new nonce. */
  | { readonly kind: 'bad'; readonly reply: Reply; readonly isFinal: boolean };

/** The accounts of a relay. */
export class Accounts {
  readonly #context: Context;
  readonly #presence: Presence;

  constructor(context: Context, presence: Presence) {
    this.#context = context;
    this.#presence = presence;
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
      const { account: id, device } = op;
      return { kind: 'good', who: { account: id, device, mailbox: row.mailbox } };
    } catch (error) {
      // Nothing was found wrong with the proof: the client may try again on this socket.
      return again(storeRefusal(this.#context, error));
    }
  }

  /** Create an account, or confirm one that this very registration created before. */
  async register(nonce: Uint8Array, op: RegisterRequest, addressKey: string): Promise<Proof> {
    if (!speaksVersion(op.version)) return bad(refused('UNSUPPORTED'));
    const { crypto, relayId, writer, budgets, clock, isDraining } = this.#context;
    if (isDraining) return again(refused('DRAINING', 2_000));
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
      });
      switch (result.kind) {
        case 'registered':
          return { kind: 'good', who: { account, device, mailbox: result.mailbox } };
        case 'usernameTaken':
          return again(refused('USERNAME_TAKEN'));
        case 'accountTaken':
          return again(refused('REFUSED'));
      }
    } catch (error) {
      return again(storeRefusal(this.#context, error));
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
        entries: list.devices,
      });
      if (result.kind === 'noAccount') return refused('REFUSED');
      if (result.kind === 'versionConflict') {
        return refused('VERSION_CONFLICT', 0, NO_BODY);
      }
      for (const mailbox of result.removed) this.#presence.get(mailbox)?.remove();
      for (const mailbox of result.members) {
        const { account } = who;
        const { version } = list;
        if (mailbox === who.mailbox) continue;
        this.#presence.get(mailbox)?.tell({ kind: 'devicesChanged', account, version });
      }
      return CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
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

function bad(reply: Reply): Proof {
  return { kind: 'bad', reply, isFinal: true };
}

function again(reply: Reply): Proof {
  return { kind: 'bad', reply, isFinal: false };
}

/** Some point of the curve, so that checking costs what it costs for a real key. No verdict rests on it. */
const UNKNOWN_KEY = new Uint8Array(32).fill(0x66).with(0, 0x58);
