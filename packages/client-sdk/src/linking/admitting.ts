/**
 * 20 Linking. On a device of the account: show or scan a code, ask a person, hand over the account.
 */
import { wipe, type Bytes } from '@qasid/protocol';

import type { Engine, Platform } from '../engine.js';
import { LinkError } from '../errors.js';
import type { Profile } from '../stores/port.js';
import { grantJoin, whenJoined } from './grant.js';
import { STEP, type LinkKeys } from './handshake.js';
import { LINK_MAX_MS, SEED_BYTES } from './limits.js';
import { linkText, parseLinkText, type LinkCode } from './link-text.js';
import { cancelled, Meeting } from './meeting.js';
import { decodeConfirmation, decodeJoinRequest, encodeJoinGrant } from './messages.js';

/** A device that asks to join. Show all of it: a person decides by it (ATK-G02). */
export interface LinkRequest {
  /** What the device calls itself, and what it runs on. Its own words. */
  readonly name: string;
  readonly platform: string;
  /** How long ago the code was shown, in milliseconds. */
  readonly ageMs: number;
  /** Eight digits, the same on both screens. */
  readonly code: string;
}

/** What a linking brings beside the account. */
export interface LinkChoices {
  /** Send the messages of the past as well; default false. Contacts and settings always go. */
  readonly history?: boolean;
}

/** A device that joined. */
export interface LinkedDevice {
  readonly device: number;
  readonly name: string;
  readonly platform: string;
}

/** One linking under way, on a device of the account. */
export interface Linking {
  /** For the new device: a QR code, or text to copy there. `undefined` when the new device shows the code. */
  readonly qr: LinkQr | undefined;
  /** This device's clock, milliseconds since 1970. */
  readonly expiresAt: number;
  /** The device that answered. Nothing was given to it. Rejects as `done`. */
  readonly request: Promise<LinkRequest>;
  /** `request`'s code: the same eight digits must stand on the other screen. */
  readonly code: Promise<string>;
  /** A person compared the digits: let the device in, once its person agreed too. */
  confirm(): void;
  /**
   * The new device is part of the account.
   *
   * Rejects with LinkError: `LINK_EXPIRED`, `LINK_USED`, `LINK_ALTERED`, `LINK_REFUSED`, `LINK_CANCELLED`,
   * `LINK_OUTDATED`, `LINK_TOO_MANY`; NetworkError; StoreError.
   */
  readonly done: Promise<LinkedDevice>;
  /** Stop. The other device is told when there is one. */
  cancel(): void;
}

/** A code to show. */
export interface LinkQr {
  readonly text: string;
  /** Dark modules, by row and column; a quiet zone of 4 belongs around them. */
  matrix(): Promise<readonly (readonly boolean[])[]>;
  /** A whole picture. */
  svg(): Promise<string>;
}

/** What admitting needs of its client. */
export interface AdmittingDeps {
  readonly platform: Platform;
  readonly profile: Profile;
  readonly engine: Engine;
  /** Called before the grant leaves: what the new device will get is stored. */
  prepare(device: number, transfer: Admitted): Promise<void>;
}

/** What the transfer to a new device needs. SECRET: `key`. */
export interface Admitted {
  readonly id: Bytes;
  readonly key: Bytes;
  readonly history: boolean;
}

/** The code as picture. The library is loaded when it is needed. */
export function linkQr(text: string): LinkQr {
  const ecc = 'L' as const;
  return {
    text,
    matrix: async () => (await import('uqr')).encode(text, { ecc, border: 0 }).data,
    svg: async () => (await import('uqr')).renderSVG(text, { ecc, border: 4 }),
  };
}

/** Show a code for a new device, or with `scanned` answer the one that it shows. */
export function admit(
  deps: AdmittingDeps,
  scanned: string | undefined,
  choices: LinkChoices,
): Linking {
  const { platform } = deps;
  const { crypto, clock, url } = platform;
  const keyPair = crypto.x25519KeyPair();
  const code: LinkCode =
    scanned === undefined
      ? {
          shownBy: 'account',
          createdAtMs: clock.now(),
          seed: crypto.randomBytes(SEED_BYTES),
          key: keyPair.public,
          relay: url,
        }
      : parseLinkText(scanned, 'new-device');
  const meeting = new Meeting(platform, code);
  let agree: () => void = () => undefined;
  const agreed = new Promise<void>((resolve) => {
    agree = resolve;
  });
  const nothing = new Uint8Array(0);
  const met = scanned === undefined ? meeting.show(keyPair, nothing) : meeting.scan(nothing);
  let keys: LinkKeys | undefined;
  const asked = met.then((found) => {
    keys = found.keys;
    return { keys: found.keys, request: decodeJoinRequest(found.payload) };
  });
  const request = asked.then(({ keys: { code: digits }, request: { name, platform: runs } }) => ({
    name,
    platform: runs,
    ageMs: Math.max(0, clock.now() - code.createdAtMs),
    code: digits,
  }));
  const run = async (): Promise<LinkedDevice> => {
    const found = await asked;
    if (!decodeConfirmation(await meeting.hear(found.keys, STEP.confirm))) {
      throw new LinkError('LINK_REFUSED', 'the other device said no');
    }
    // The identity travels when both people said yes, and not before.
    await Promise.race([agreed, meeting.rendezvous.over]);
    const { name, platform: runs, registrationId, authKey } = found.request;
    const entry = { registrationId, authKey };
    const grant = await grantJoin(deps, entry, meeting.rendezvous.relayTimeMs);
    const { device, transferId: id, transferKey: key } = grant;
    await deps.prepare(device, { id, key, history: choices.history === true });
    const message = encodeJoinGrant(grant);
    await meeting.tell(found.keys, STEP.grant, message);
    wipe(message);
    await whenJoined(deps, grant, authKey);
    return { device, name, platform: runs };
  };
  const done = run().finally(() => meeting.end(cancelled()));
  const digits = request.then(({ code: compared }) => compared);
  for (const promise of [done, request, digits]) promise.catch(() => undefined);
  return {
    qr: scanned === undefined ? linkQr(linkText(code)) : undefined,
    expiresAt: clock.now() + LINK_MAX_MS,
    request,
    code: digits,
    confirm: () => agree(),
    done,
    cancel: () => {
      // Whoever waits for the grant hears that there will be none.
      const told =
        keys === undefined
          ? Promise.resolve()
          : meeting.tell(keys, STEP.grant, encodeJoinGrant(undefined)).catch(() => undefined);
      void told.then(() => meeting.end(cancelled()));
    },
  };
}
