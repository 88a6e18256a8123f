/** Test vectors as a product. Operations of chapter 12. */
import { decodeDeviceList, verifyDeviceList } from '../envelope/devices.js';
import { decodeEnvelope, encodeEnvelope } from '../envelope/envelope.js';
import { decodeFrame, encodeFrame } from '../envelope/frames.js';
import { authSigningInput, isUsername, toAccountId, toRelayId } from '../envelope/mailbox.js';
import { tokenVerifier, viewClientId } from '../envelope/tokens.js';
import { hex, type VectorOperation } from './operation.js';

const ENVELOPE = { chapter: '12', family: 'envelope' } as const;

/** Chapter 12. */
export const RELAY: readonly VectorOperation[] = [
  {
    ...ENVELOPE,
    name: 'decode-envelope',
    about: 'Who says to have sent what kind of message.',
    source: '12',
    input: { envelope: 'hex' },
    output: { type: 'u32', senderAccount: 'hex:16', senderDevice: 'u32', message: 'hex' },
    run: (input) => {
      const envelope = decodeEnvelope(input.hex('envelope'));
      return {
        output: {
          type: envelope.type,
          senderAccount: hex(envelope.senderAccount),
          senderDevice: envelope.senderDevice,
          message: hex(envelope.message),
        },
      };
    },
  },
  {
    ...ENVELOPE,
    name: 'encode-envelope',
    about: 'Filled up to the first of `sizes` that holds it.',
    source: '12',
    input: {
      type: 'u32',
      senderAccount: 'hex:16',
      senderDevice: 'u32',
      message: 'hex',
      sizes: 'json',
    },
    output: { envelope: 'hex' },
    run: (input) => ({
      output: {
        envelope: hex(
          encodeEnvelope(
            {
              type: input.integer('type') === 3 ? 3 : 2,
              senderAccount: toAccountId(input.hex('senderAccount')),
              senderDevice: input.integer('senderDevice'),
              message: input.hex('message'),
            },
            input.list('sizes').map((size) => size.integer('bytes')),
          ),
        ),
      },
    }),
  },
  {
    ...ENVELOPE,
    name: 'recode-frame',
    about:
      'Parse a frame and write it again; unknown fields are dropped, unknown requests stay unknown.',
    source: '12',
    input: { frame: 'hex' },
    output: { items: 'u32', frame: 'hex' },
    run: (input) => {
      const items = decodeFrame(input.hex('frame'));
      return { output: { items: items.length, frame: hex(encodeFrame(items)) } };
    },
  },
  {
    ...ENVELOPE,
    name: 'verify-device-list',
    about: 'A signed device list against what is known of the account.',
    source: '12',
    input: {
      list: 'hex',
      signature: 'hex',
      account: 'hex:16',
      identityKey: 'hex:33',
      versionMin: 'integer',
    },
    output: { version: 'integer', devices: 'json' },
    run: (input, crypto) => {
      const signed = { list: input.hex('list'), signature: input.hex('signature') };
      const list = verifyDeviceList(crypto, signed, {
        account: toAccountId(input.hex('account')),
        identityKey: input.publicKey('identityKey'),
        versionMin: input.integer('versionMin'),
      });
      return {
        output: {
          version: list.version,
          devices: list.devices.map(({ device, registrationId, authKey }) => ({
            device,
            registrationId,
            authKey: hex(authKey),
          })),
        },
      };
    },
  },
  {
    ...ENVELOPE,
    name: 'decode-device-list',
    about: 'Form of a device list; nothing is verified.',
    source: '12',
    input: { list: 'hex' },
    output: { account: 'hex:16', version: 'integer', count: 'u32' },
    run: (input) => {
      const list = decodeDeviceList(input.hex('list'));
      return {
        output: { account: hex(list.account), version: list.version, count: list.devices.length },
      };
    },
  },
  {
    ...ENVELOPE,
    name: 'auth-input',
    about: 'What a device signs to answer the challenge.',
    source: '12',
    input: { relayId: 'hex:32', nonce: 'hex:32', account: 'hex:16', device: 'u32' },
    output: { bytes: 'hex' },
    run: (input) => ({
      output: {
        bytes: hex(
          authSigningInput({
            relayId: toRelayId(input.hex('relayId')),
            nonce: input.hex('nonce'),
            account: toAccountId(input.hex('account')),
            device: input.integer('device'),
          }),
        ),
      },
    }),
  },
  {
    ...ENVELOPE,
    name: 'token-verifier',
    about: 'What a relay keeps of a delivery token.',
    source: '12 §8',
    input: { id: 'hex', token: 'hex' },
    output: { verifier: 'hex:32' },
    run: (input, crypto) => ({
      output: { verifier: hex(tokenVerifier(crypto, input.hex('id'), input.hex('token'))) },
    }),
  },
  {
    ...ENVELOPE,
    name: 'view-client-id',
    about: 'Client id of one view of a message to many.',
    source: '12 §8',
    input: { clientId: 'hex:16', dest: 'hex:16', device: 'u32' },
    output: { clientId: 'hex:16' },
    run: (input, crypto) => ({
      output: {
        clientId: hex(
          viewClientId(crypto, input.hex('clientId'), input.hex('dest'), input.integer('device')),
        ),
      },
    }),
  },
  {
    ...ENVELOPE,
    name: 'is-username',
    about: 'Whether a text is a username of the relay.',
    source: '12',
    input: { text: 'text' },
    output: { valid: 'boolean' },
    run: (input) => ({ output: { valid: isUsername(input.text('text')) } }),
  },
];
