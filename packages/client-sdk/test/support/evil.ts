// A relay that lies, as a socket in between: sees and rewrites every item in both directions.
import {
  decodeEnvelope,
  decodeFrame,
  encodeEnvelope,
  encodeFrame,
  parseAccountText,
  signDeviceList,
  type AccountId,
  type DeliverEvent,
  type Envelope,
  type Item,
  type RequestItem,
  type RequestOp,
  type ResponseBody,
} from '@qasid/protocol/envelope';
import { defaultCrypto, generateIdentityKeyPair, type KeyPair } from '@qasid/protocol';
import type { Dial } from '@qasid/client-sdk';
import { nodeDial } from '@qasid/client-sdk/node';

/** What the liar does; each gets an item and gives back those to pass on. */
export interface Lies {
  /** From the relay to the client. `asked` is the request an answer belongs to. */
  toClient?: (item: Item, asked: RequestOp | undefined) => readonly Item[];
  /** From the client to the relay. */
  toRelay?: (item: RequestItem) => readonly Item[];
}

/** Sockets that pass through `lies`, which may change while they are open. */
export function evilDial(lies: Lies): Dial {
  return (url, events) => {
    const asked = new Map<number, RequestOp>();
    const socket = nodeDial(url, {
      ...events,
      received(frame) {
        const items = decodeFrame(frame).flatMap((item) => {
          const op = item.kind === 'response' ? asked.get(item.id) : undefined;
          return lies.toClient?.(item, op) ?? [item];
        });
        // One item a frame: what a liar adds may be more than a frame holds.
        for (const item of items) events.received(encodeFrame([item]));
      },
    });
    return {
      close: () => socket.close(),
      send(frame) {
        const items = decodeFrame(frame).flatMap((item) => {
          if (item.kind !== 'request') return [item];
          asked.set(item.id, item.op);
          return lies.toRelay?.(item) ?? [item];
        });
        if (items.length > 0) socket.send(encodeFrame(items));
      },
    };
  };
}

/** Whether an item delivers an envelope. */
export function delivery(item: Item): DeliverEvent | undefined {
  return item.kind === 'event' && item.event.kind === 'deliver' ? item.event : undefined;
}

/** The same delivery with other fields. */
export function redeliver(event: DeliverEvent, change: Partial<DeliverEvent>): Item {
  return { kind: 'event', event: { ...event, ...change } };
}

/** The same delivery with another envelope. */
export function rewrite(event: DeliverEvent, change: Partial<Envelope>): Item {
  const body = encodeEnvelope({ ...decodeEnvelope(event.body), ...change });
  return redeliver(event, { body });
}

/** Somebody who answers for an account with keys of their own. */
export class Impostor {
  readonly identity: KeyPair = generateIdentityKeyPair(defaultCrypto);
  readonly #auth = defaultCrypto.ed25519KeyPair();
  readonly #signed = defaultCrypto.x25519KeyPair();
  readonly #kem = defaultCrypto.kyber1024KeyPair();

  /** `body` about `account`, all signatures valid under the impostor's key. */
  forge(account: AccountId, body: ResponseBody, version = 1): ResponseBody {
    if (body.kind !== 'devices' && body.kind !== 'bundles') return body;
    const crypto = defaultCrypto;
    const sign = (key: Uint8Array) =>
      crypto.xeddsaSign(this.identity.secret, crypto.randomBytes(64), key);
    const devices = signDeviceList(crypto, this.identity.secret, crypto.randomBytes(64), {
      account,
      version,
      devices: [{ device: 1, registrationId: 77, authKey: this.#auth.public }],
    });
    if (body.kind === 'devices') return { ...body, identityKey: this.identity.public, devices };
    const signed = this.#signed.public;
    const kem = this.#kem.public;
    return {
      kind: 'bundles',
      identityKey: this.identity.public,
      devices,
      bundles: [
        {
          device: 1,
          registrationId: 77,
          signed: { id: 1, public: signed, signature: sign(signed) },
          kem: { id: 1, public: kem, signature: sign(kem) },
          kemLastResort: true,
        },
      ],
    };
  }
}

/** Answers about `account` come from `impostor`. */
export function answersFrom(impostor: Impostor, account: string): NonNullable<Lies['toClient']> {
  const id = parseAccountText(account);
  return (item, asked) => {
    const about = asked !== undefined && 'account' in asked && `${asked.account}` === `${id}`;
    if (item.kind !== 'response' || !about) return [item];
    return [{ ...item, body: impostor.forge(id, item.body) }];
  };
}
