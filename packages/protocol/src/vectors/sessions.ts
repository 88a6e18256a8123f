/** Test vectors as a product. Operations of chapters 04 to 08 and 11. */
import { concatBytes, type Bytes } from '../bytes.js';
import { stepChain, stepRoot } from '../double-ratchet.js';
import { accept, initiate, type Agreement } from '../pqxdh.js';
import { decodeKemPreKeyRecord, decodePreKeyRecord, decodeSignedPreKeyRecord } from '../prekeys.js';
import { decryptMessage, decryptPreKeyMessage, isKnownSession } from '../session.js';
import { decodeSessionRecord, encodeSessionRecord } from '../session-record.js';
import {
  decodeSpqrState,
  encodeSpqrState,
  initialSpqrState,
  spqrReceive,
  spqrSend,
} from '../spqr/index.js';
import { newEncoder, nextChunk } from '../spqr/erasure-code.js';
import { deriveMessageKeys, messageMac } from '../triple-ratchet.js';
import { toAddress, toChainKey, toRootKey } from '../types.js';
import { decodePreKeySignalMessage, decodeSignalMessage } from '../wire/messages.js';
import {
  drawing,
  hex,
  hexOrNull,
  type Fields,
  type Input,
  type VectorOperation,
} from './operation.js';

function agreementFields(agreement: Agreement): Fields {
  return {
    rootKey: hex(agreement.rootKey),
    chainKey: hex(agreement.chainKey),
    spqrAuthKey: hex(agreement.spqrAuthKey),
  };
}

const AGREEMENT = { rootKey: 'hex:32', chainKey: 'hex:32', spqrAuthKey: 'hex:32' } as const;

function draws(input: Input): readonly Bytes[] {
  return input.list('draws').map((draw) => draw.hex('bytes'));
}

function ends(input: Input) {
  return {
    local: toAddress(input.text('localName'), input.integer('localDevice')),
    remote: toAddress(input.text('remoteName'), input.integer('remoteDevice')),
  };
}

const ENDS = {
  localName: 'text',
  localDevice: 'u32',
  remoteName: 'text',
  remoteDevice: 'u32',
} as const;

/** Chapters 04 to 08 and 11. */
export const SESSIONS: readonly VectorOperation[] = [
  {
    chapter: '04',
    family: 'pqxdh',
    name: 'pqxdh-initiate',
    about: 'Key agreement of the initiator, with given base key and coin.',
    source: '04 §2',
    input: {
      identity: 'hex:32',
      baseKey: 'hex:32',
      theirIdentity: 'hex:33',
      theirSignedPreKey: 'hex:33',
      theirPreKey: 'hex:33?',
      theirKemPreKey: 'hex:1569',
      coin: 'hex:32',
    },
    output: { ...AGREEMENT, baseKey: 'hex:33', kemCiphertext: 'hex:1569' },
    run: (input, crypto) => {
      const identity = input.pair('identity', crypto);
      const baseKey = input.pair('baseKey', crypto);
      const theirIdentity = input.publicKey('theirIdentity');
      const theirSignedPreKey = input.publicKey('theirSignedPreKey');
      const theirPreKey = input.has('theirPreKey') ? input.publicKey('theirPreKey') : undefined;
      const intermediate = {
        dh1: hex(crypto.x25519(identity.secret, theirSignedPreKey)),
        dh2: hex(crypto.x25519(baseKey.secret, theirIdentity)),
        dh3: hex(crypto.x25519(baseKey.secret, theirSignedPreKey)),
        dh4: hexOrNull(theirPreKey && crypto.x25519(baseKey.secret, theirPreKey)),
      };
      const { agreement, kemCiphertext } = initiate(drawing(crypto, [input.hex('coin')]), {
        identity,
        baseKey,
        theirIdentity,
        theirSignedPreKey,
        theirPreKey,
        theirKemPreKey: input.kemPublicKey('theirKemPreKey'),
      });
      return {
        output: {
          ...agreementFields(agreement),
          baseKey: hex(baseKey.public),
          kemCiphertext: hex(kemCiphertext),
        },
        intermediate,
      };
    },
  },
  {
    chapter: '04',
    family: 'pqxdh',
    name: 'pqxdh-accept',
    about: 'Key agreement of the recipient.',
    source: '04 §3',
    input: {
      identity: 'hex:32',
      signedPreKey: 'hex:32',
      preKey: 'hex:32?',
      kemSecret: 'hex:3169',
      kemPublic: 'hex:1569',
      theirIdentity: 'hex:33',
      theirBaseKey: 'hex:33',
      kemCiphertext: 'hex',
    },
    output: AGREEMENT,
    run: (input, crypto) => ({
      output: agreementFields(
        accept(crypto, {
          identity: input.pair('identity', crypto),
          signedPreKey: input.pair('signedPreKey', crypto),
          preKey: input.has('preKey') ? input.pair('preKey', crypto) : undefined,
          kemPreKey: {
            secret: input.kemSecretKey('kemSecret'),
            public: input.kemPublicKey('kemPublic'),
          },
          theirIdentity: input.publicKey('theirIdentity'),
          theirBaseKey: input.publicKey('theirBaseKey'),
          kemCiphertext: input.hex('kemCiphertext'),
        }),
      ),
    }),
  },
  {
    chapter: '05',
    family: 'double-ratchet',
    name: 'root-step',
    about: 'Root KDF over an agreement.',
    source: '05 §2',
    input: { rootKey: 'hex:32', dh: 'hex:32' },
    output: { rootKey: 'hex:32', chainKey: 'hex:32' },
    run: (input, crypto) => {
      const step = stepRoot(crypto, toRootKey(input.hex('rootKey')), input.hex('dh'));
      return { output: { rootKey: hex(step.rootKey), chainKey: hex(step.chain.key) } };
    },
  },
  {
    chapter: '05',
    family: 'double-ratchet',
    name: 'chain-step',
    about: 'Seed of one message and the next chain key. The last index is LIMIT_CHAIN_INDEX.',
    source: '05 §2',
    input: { chainKey: 'hex:32', index: 'u32' },
    output: { seed: 'hex:32', nextChainKey: 'hex:32', nextIndex: 'u32' },
    run: (input, crypto) => {
      const chain = { key: toChainKey(input.hex('chainKey')), index: input.integer('index') };
      const step = stepChain(crypto, chain);
      return {
        output: {
          seed: hex(step.output),
          nextChainKey: hex(step.state.key),
          nextIndex: step.state.index,
        },
      };
    },
  },
  {
    chapter: '06',
    family: 'spqr',
    name: 'spqr-initial',
    about: 'State at the start: version 1, minimum 1, default chain parameters.',
    source: '06',
    input: { authKey: 'hex:32', direction: 'text' },
    output: { state: 'hex' },
    run: (input, crypto) => ({
      output: {
        state: hex(
          encodeSpqrState(
            initialSpqrState(crypto, {
              authKey: input.hex('authKey'),
              direction: input.text('direction') === 'a2b' ? 'a2b' : 'b2a',
              version: 1,
              minVersion: 1,
              maxJump: 25_000,
              maxOutOfOrderKeys: 2_000,
            }),
          ),
        ),
      },
    }),
  },
  {
    chapter: '06',
    family: 'spqr',
    name: 'spqr-send',
    about: 'One send; `draws` is the randomness it takes, in order.',
    source: '06',
    input: { state: 'hex', draws: 'json' },
    output: { state: 'hex', message: 'hex', key: 'hex:32?' },
    run: (input, crypto) => {
      const sent = spqrSend(drawing(crypto, draws(input)), decodeSpqrState(input.hex('state')));
      return {
        output: {
          state: hex(encodeSpqrState(sent.state)),
          message: hex(sent.output.message),
          key: hexOrNull(sent.output.key),
        },
      };
    },
  },
  {
    chapter: '06',
    family: 'spqr',
    name: 'spqr-receive',
    about: 'One receive.',
    source: '06',
    input: { state: 'hex', message: 'hex' },
    output: { state: 'hex', key: 'hex:32?' },
    run: (input, crypto) => {
      const state = decodeSpqrState(input.hex('state'));
      const received = spqrReceive(crypto, state, input.hex('message'));
      return {
        output: {
          state: hex(encodeSpqrState(received.state)),
          key: hexOrNull(received.output.key),
        },
      };
    },
  },
  {
    chapter: '06',
    family: 'spqr',
    name: 'spqr-recode-state',
    about: 'Parse a stored state and write it again, canonically.',
    source: '06',
    input: { state: 'hex' },
    output: { state: 'hex' },
    run: (input) => ({
      output: { state: hex(encodeSpqrState(decodeSpqrState(input.hex('state')))) },
    }),
  },
  {
    chapter: '06',
    family: 'spqr',
    name: 'erasure-chunks',
    about: 'The first `count` chunks of a piece, joined.',
    source: '06',
    input: { piece: 'hex', count: 'u32' },
    output: { chunks: 'hex' },
    run: (input) => {
      let encoder = newEncoder(input.hex('piece'));
      const chunks: Bytes[] = [];
      for (let i = 0; i < input.integer('count'); i++) {
        const step = nextChunk(encoder);
        encoder = step.encoder;
        chunks.push(step.chunk.data);
      }
      return { output: { chunks: hex(concatBytes(...chunks)) } };
    },
  },
  {
    chapter: '07',
    family: 'triple-ratchet',
    name: 'message-keys',
    about: 'Keys of one message from the seed and the SPQR key, which may be absent.',
    source: '07 §2',
    input: { seed: 'hex:32', spqrKey: 'hex:32?' },
    output: { cipherKey: 'hex:32', macKey: 'hex:32', iv: 'hex:16' },
    run: (input, crypto) => {
      const keys = deriveMessageKeys(crypto, input.hex('seed'), input.hexOr('spqrKey'));
      return {
        output: { cipherKey: hex(keys.cipherKey), macKey: hex(keys.macKey), iv: hex(keys.iv) },
      };
    },
  },
  {
    chapter: '07',
    family: 'triple-ratchet',
    name: 'message-mac',
    about: 'MAC of a message: sender identity, recipient identity, exact bytes; 8 bytes.',
    source: '07 §3',
    input: { macKey: 'hex:32', sender: 'hex:33', recipient: 'hex:33', bytes: 'hex' },
    output: { mac: 'hex:8' },
    run: (input, crypto) => ({
      output: {
        mac: hex(
          messageMac(
            crypto,
            input.hex('macKey'),
            input.publicKey('sender'),
            input.publicKey('recipient'),
            input.hex('bytes'),
          ),
        ),
      },
    }),
  },
  {
    chapter: '08',
    family: 'session',
    name: 'decrypt-message',
    about:
      'One plain message on a stored record; `draws` holds the new ratchet key when one is made.',
    source: '08 §4',
    input: { record: 'hex', ...ENDS, message: 'hex', draws: 'json' },
    output: { plaintext: 'hex', record: 'hex' },
    run: (input, crypto) => {
      const opened = decryptMessage(
        drawing(crypto, draws(input)),
        decodeSessionRecord(input.hex('record')),
        { ...ends(input), message: decodeSignalMessage(input.hex('message')) },
      );
      return {
        output: { plaintext: hex(opened.output), record: hex(encodeSessionRecord(opened.state)) },
      };
    },
  },
  {
    chapter: '08',
    family: 'session',
    name: 'decrypt-prekey-message',
    about: 'One prekey message on a stored record, with the prekeys it names.',
    source: '08 §5',
    input: {
      record: 'hex',
      ...ENDS,
      message: 'hex',
      identity: 'hex:32',
      registrationId: 'u32',
      signedPreKey: 'hex',
      kemPreKey: 'hex',
      preKey: 'hex?',
      draws: 'json',
    },
    output: { plaintext: 'hex', record: 'hex', newSession: 'boolean' },
    run: (input, crypto) => {
      const record = decodeSessionRecord(input.hex('record'));
      const message = decodePreKeySignalMessage(input.hex('message'));
      const known = isKnownSession(record, message);
      const opened = decryptPreKeyMessage(drawing(crypto, draws(input)), record, {
        ...ends(input),
        message,
        accept: known
          ? undefined
          : {
              identity: input.pair('identity', crypto),
              localRegistrationId: input.integer('registrationId'),
              signedPreKey: decodeSignedPreKeyRecord(input.hex('signedPreKey')).keyPair,
              kemPreKey: decodeKemPreKeyRecord(input.hex('kemPreKey')).keyPair,
              preKey: input.has('preKey')
                ? decodePreKeyRecord(input.hex('preKey')).keyPair
                : undefined,
            },
      });
      return {
        output: {
          plaintext: hex(opened.output),
          record: hex(encodeSessionRecord(opened.state)),
          newSession: !known,
        },
      };
    },
  },
  {
    chapter: '11',
    family: 'wire',
    name: 'parse-message',
    about: 'Form of a plain message; nothing is verified.',
    source: '11',
    input: { message: 'hex' },
    output: {
      version: 'u32',
      ratchetKey: 'hex:33',
      counter: 'u32',
      previousCounter: 'u32',
      ciphertext: 'hex',
      spqr: 'hex',
      addresses: 'hex?',
      mac: 'hex:8',
    },
    run: (input) => {
      const message = decodeSignalMessage(input.hex('message'));
      return {
        output: {
          version: message.version,
          ratchetKey: hex(message.ratchetKey),
          counter: message.counter,
          previousCounter: message.previousCounter,
          ciphertext: hex(message.ciphertext),
          spqr: hex(message.spqr),
          addresses: hexOrNull(message.addresses),
          mac: hex(message.mac),
        },
      };
    },
  },
  {
    chapter: '11',
    family: 'wire',
    name: 'parse-prekey-message',
    about: 'Form of a prekey message; nothing is verified.',
    source: '11',
    input: { message: 'hex' },
    output: {
      version: 'u32',
      registrationId: 'u32',
      preKeyId: 'u32?',
      signedPreKeyId: 'u32',
      kemPreKeyId: 'u32?',
      baseKey: 'hex:33',
      identityKey: 'hex:33',
    },
    run: (input) => {
      const message = decodePreKeySignalMessage(input.hex('message'));
      return {
        output: {
          version: message.version,
          registrationId: message.registrationId,
          preKeyId: message.preKeyId ?? null,
          signedPreKeyId: message.signedPreKeyId,
          kemPreKeyId: message.kem?.preKeyId ?? null,
          baseKey: hex(message.baseKey),
          identityKey: hex(message.identityKey),
        },
      };
    },
  },
  {
    chapter: '11',
    family: 'wire',
    name: 'recode-session-record',
    about: 'Parse a stored record and write it again, canonically.',
    source: '11',
    input: { record: 'hex' },
    output: { record: 'hex' },
    run: (input) => ({
      output: { record: hex(encodeSessionRecord(decodeSessionRecord(input.hex('record')))) },
    }),
  },
];
