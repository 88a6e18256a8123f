/** Test vectors as a product. Operations of chapters 09 and 10. */
import { splitSealedForMany } from '../envelope/multi-recipient.js';
import {
  decodeSealedContent,
  decodeSenderCertificate,
  isValidSenderCertificate,
  openSealed,
  padSealedContent,
  sealForMany,
  sealV1,
  sealV2,
} from '../sealed-sender/index.js';
import {
  decodeSenderKeyRecord,
  distributionMessage,
  encodeSenderKeyRecord,
  groupDecrypt,
  groupEncrypt,
  processDistributionMessage,
  type SenderKeyRecord,
} from '../sender-keys.js';
import { toAddress, type PublicKey } from '../types.js';
import { drawing, hex, hexOrNull, type Input, type VectorOperation } from './operation.js';

const GROUPS = { chapter: '09', family: 'sender-keys' } as const;
const SEALED = { chapter: '10', family: 'sealed-sender' } as const;

function record(input: Input): SenderKeyRecord | undefined {
  return input.has('record') ? decodeSenderKeyRecord(input.hex('record')) : undefined;
}

function trustRoots(input: Input): { trustRoots: readonly PublicKey[] } {
  return { trustRoots: input.list('trustRoots').map((root) => root.publicKey('key')) };
}

/** Chapters 09 and 10. */
export const GROUP_OPERATIONS: readonly VectorOperation[] = [
  {
    ...GROUPS,
    name: 'group-encrypt',
    about: 'One group message with given signing randomness (64 bytes).',
    source: '09 §8',
    input: { record: 'hex?', distributionId: 'hex:16', plaintext: 'hex', random: 'hex:64' },
    output: { message: 'hex', record: 'hex' },
    run: (input, crypto) => {
      const provider = drawing(crypto, [input.hex('random')]);
      const id = input.hex('distributionId');
      const sent = groupEncrypt(provider, record(input), id, input.hex('plaintext'));
      return {
        output: { message: hex(sent.output), record: hex(encodeSenderKeyRecord(sent.state)) },
      };
    },
  },
  {
    ...GROUPS,
    name: 'group-decrypt',
    about: 'One group message; a null record is one that is not stored.',
    source: '09 §8',
    input: { record: 'hex?', message: 'hex' },
    output: { plaintext: 'hex', record: 'hex' },
    run: (input, crypto) => {
      const opened = groupDecrypt(crypto, record(input), input.hex('message'));
      return {
        output: {
          plaintext: hex(opened.output),
          record: hex(encodeSenderKeyRecord(opened.state)),
        },
      };
    },
  },
  {
    ...GROUPS,
    name: 'distribution-message',
    about: 'Hands on the newest chain of a record.',
    source: '09 §6',
    input: { record: 'hex', distributionId: 'hex:16' },
    output: { message: 'hex' },
    run: (input) => ({
      output: {
        message: hex(
          distributionMessage(
            decodeSenderKeyRecord(input.hex('record')),
            input.hex('distributionId'),
          ),
        ),
      },
    }),
  },
  {
    ...GROUPS,
    name: 'process-distribution',
    about: 'Takes in a distribution message.',
    source: '09 §7',
    input: { record: 'hex', message: 'hex' },
    output: { record: 'hex', distributionId: 'hex:16', chainId: 'u32', newChain: 'boolean' },
    run: (input) => {
      const before = decodeSenderKeyRecord(input.hex('record'));
      const { state, output } = processDistributionMessage(before, input.hex('message'));
      return {
        output: {
          record: hex(encodeSenderKeyRecord(state)),
          distributionId: hex(output.distributionId),
          chainId: output.chainId,
          newChain: output.newChain,
        },
      };
    },
  },
  {
    ...SEALED,
    name: 'parse-sealed-content',
    about: 'Content and certificate; nothing is verified.',
    source: '10 §4',
    input: { content: 'hex' },
    output: {
      type: 'u32',
      content: 'hex',
      contentHint: 'u32',
      groupId: 'hex?',
      senderName: 'text',
      senderDevice: 'u32',
      identityKey: 'hex:33',
    },
    run: (input) => {
      const content = decodeSealedContent(input.hex('content'));
      return {
        output: {
          type: content.type,
          content: hex(content.content),
          contentHint: content.contentHint,
          groupId: hexOrNull(content.groupId),
          senderName: content.senderCertificate.senderName,
          senderDevice: content.senderCertificate.senderDevice,
          identityKey: hex(content.senderCertificate.identityKey),
        },
      };
    },
  },
  {
    ...SEALED,
    name: 'pad-sealed-content',
    about: 'Filled so that the sealed message of version 2 has one of the sizes relays take.',
    source: '12 §5',
    input: { content: 'hex' },
    output: { content: 'hex' },
    run: (input) => ({ output: { content: hex(padSealedContent(input.hex('content'))) } }),
  },
  {
    ...SEALED,
    name: 'validate-certificate',
    about: 'Yes or no, for given trust roots and time.',
    source: '10 §3',
    input: { certificate: 'hex', trustRoots: 'json', nowMs: 'integer' },
    output: { valid: 'boolean' },
    run: (input, crypto) => ({
      output: {
        valid: isValidSenderCertificate(
          crypto,
          decodeSenderCertificate(input.hex('certificate')),
          trustRoots(input),
          input.integer('nowMs'),
        ),
      },
    }),
  },
  {
    ...SEALED,
    name: 'seal-v1',
    about: 'Version 1 with a given ephemeral key.',
    source: '10 §5',
    input: { identity: 'hex:32', recipient: 'hex:33', content: 'hex', ephemeral: 'hex:32' },
    output: { message: 'hex' },
    run: (input, crypto) => ({
      output: {
        message: hex(
          sealV1(
            crypto,
            input.pair('identity', crypto),
            input.publicKey('recipient'),
            input.hex('content'),
            input.pair('ephemeral', crypto),
          ),
        ),
      },
    }),
  },
  {
    ...SEALED,
    name: 'seal-v2',
    about: 'Version 2 for one recipient, with given M.',
    source: '10 §6.2',
    input: { identity: 'hex:32', recipient: 'hex:33', content: 'hex', m: 'hex:32' },
    output: { message: 'hex' },
    run: (input, crypto) => ({
      output: {
        message: hex(
          sealV2(
            crypto,
            input.pair('identity', crypto),
            input.publicKey('recipient'),
            input.hex('content'),
            input.hex('m'),
          ),
        ),
      },
    }),
  },
  {
    ...SEALED,
    name: 'seal-for-many',
    about: 'Version 2 as it is sent, with given M.',
    source: '10 §6.3',
    input: {
      identity: 'hex:32',
      recipients: 'json',
      excluded: 'json',
      content: 'hex',
      m: 'hex:32',
    },
    output: { message: 'hex' },
    run: (input, crypto) => ({
      output: {
        message: hex(
          sealForMany(
            crypto,
            input.pair('identity', crypto),
            input.list('recipients').map((recipient) => ({
              serviceId: recipient.hex('serviceId'),
              identityKey: recipient.publicKey('identityKey'),
              devices: recipient.list('devices').map((device) => ({
                deviceId: device.integer('deviceId'),
                registrationId: device.integer('registrationId'),
              })),
            })),
            input.list('excluded').map((account) => account.hex('serviceId')),
            input.hex('content'),
            input.hex('m'),
          ),
        ),
      },
    }),
  },
  {
    ...SEALED,
    name: 'split-for-many',
    about: 'What the relay does: cut a sent message into the views of its recipients.',
    source: '10 §6.4',
    input: { message: 'hex' },
    output: { recipients: 'json', excluded: 'json' },
    run: (input) => {
      const split = splitSealedForMany(input.hex('message'));
      return {
        output: {
          recipients: split.recipients.map(({ serviceId, devices, message }) => ({
            serviceId: hex(serviceId),
            devices: devices.map((device) => ({ ...device })),
            message: hex(message),
          })),
          excluded: split.excluded.map(hex),
        },
      };
    },
  },
  {
    ...SEALED,
    name: 'open-sealed',
    about: 'Opens either version and validates its sender.',
    source: '10 §7',
    input: {
      identity: 'hex:32',
      name: 'text',
      device: 'u32',
      message: 'hex',
      trustRoots: 'json',
      nowMs: 'integer',
    },
    output: {
      senderName: 'text',
      senderDevice: 'u32',
      identityKey: 'hex:33',
      type: 'u32',
      content: 'hex',
    },
    run: (input, crypto) => {
      const self = {
        identity: input.pair('identity', crypto),
        address: toAddress(input.text('name'), input.integer('device')),
      };
      const nowMs = input.integer('nowMs');
      const opened = openSealed(crypto, self, input.hex('message'), trustRoots(input), nowMs);
      return {
        output: {
          senderName: opened.sender.name,
          senderDevice: opened.sender.deviceId,
          identityKey: hex(opened.identityKey),
          type: opened.type,
          content: hex(opened.content),
        },
      };
    },
  },
];
