/** Seeded mutation of everything that is stored or received: messages, records, keys, codes. Spec 11. */
import t from 'tap';
import { utf8 } from '#src/bytes.js';
import { nodeProvider as crypto } from '#src/crypto/node.js';
import { compareScannable } from '#src/fingerprint.js';
import { decodeIdentityKeyPair, encodeIdentityKeyPair } from '#src/identity.js';
import {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
} from '#src/prekeys.js';
import {
  decodeDecryptionError,
  decodePlaintextContent,
  encodeDecryptionError,
} from '#src/repair.js';
import {
  decodeSenderCertificate,
  decodeServerCertificate,
} from '#src/sealed-sender/certificates.js';
import { decodeSealedContent } from '#src/sealed-sender/content.js';
import { openUnvalidated } from '#src/sealed-sender/index.js';
import {
  decodeFixedServiceId,
  decodeServiceId,
  encodeFixedServiceId,
  encodeServiceId,
  parseServiceId,
} from '#src/service-id.js';
import { decodeArchived, decodeSessionRecord, encodeSessionRecord } from '#src/session-record.js';
import { toPrivateKey } from '#src/types.js';
import {
  decodePreKeySignalMessage,
  decodeSignalMessage,
  encodePreKeySignalMessage,
  encodeSignalMessage,
} from '#src/wire/messages.js';
import {
  decodeDistributionMessage,
  decodeSenderKeyMessage,
  decodeSenderKeyRecord,
  encodeDistributionMessage,
  encodeSenderKeyRecord,
} from '#src/wire/sender-keys.js';
import { hex } from '../support/hex.js';
import { attackTest } from './attack.js';
import {
  accepted,
  hexFields,
  identityRecords,
  keyRecords,
  messages,
  recorded,
  sessionRecords,
} from './corpus.js';

const DECODE = /^DECODE_/;

attackTest(t, {
  name: 'signal message',
  answers: 'ATK-A12',
  corpus: messages(2),
  header: 1,
  codes: DECODE,
  // What arrived is kept byte for byte: the MAC covers it.
  run: (input) => encodeSignalMessage(decodeSignalMessage(input)),
});
attackTest(t, {
  name: 'prekey message',
  corpus: messages(3),
  header: 1,
  codes: DECODE,
  run: (input) => encodePreKeySignalMessage(decodePreKeySignalMessage(input)),
});
attackTest(t, {
  name: 'session record',
  answers: 'ATK-C12',
  corpus: sessionRecords(),
  codes: /^DECODE_SESSION_RECORD$/,
  run: (input) => {
    const record = decodeSessionRecord(input);
    for (const archived of record.archived) decodeArchived(archived);
    return encodeSessionRecord(record);
  },
});
attackTest(t, {
  name: 'identity record',
  corpus: identityRecords(),
  codes: DECODE,
  run: (input) => encodeIdentityKeyPair(decodeIdentityKeyPair(input)),
});
attackTest(t, {
  name: 'prekey record',
  corpus: keyRecords('preKeyRecords'),
  codes: DECODE,
  run: (input) => encodePreKeyRecord(decodePreKeyRecord(input)),
});
attackTest(t, {
  name: 'signed prekey record',
  corpus: keyRecords('signedPreKeyRecords'),
  codes: DECODE,
  run: (input) => encodeSignedPreKeyRecord(decodeSignedPreKeyRecord(input)),
});
attackTest(t, {
  name: 'KEM prekey record',
  corpus: keyRecords('kyberPreKeyRecords'),
  codes: DECODE,
  run: (input) => encodeKemPreKeyRecord(decodeKemPreKeyRecord(input)),
});

const [ours, ...others] = hexFields('fingerprint/fingerprints.json', 'scannable');
const ourCode = ours as Uint8Array;
const codes = accepted(others, (code) => compareScannable(ourCode, code));
attackTest(t, {
  name: 'scannable fingerprint',
  corpus: codes,
  codes: /^DECODE_FINGERPRINT(_VERSION)?$/,
  run: (input) => {
    if (compareScannable(ourCode, input)) {
      throw new Error('a mutated code matches our own other half');
    }
    return undefined;
  },
});
attackTest(t, {
  name: 'own scannable fingerprint',
  corpus: codes,
  codes: /^DECODE_FINGERPRINT(_VERSION)?$/,
  run: (input) => {
    compareScannable(input, ourCode);
    return undefined;
  },
});

const SERVICE_IDS = [
  '9d0652a3-dcc3-4d11-975f-74d61598733f',
  'PNI:796abedb-ca4e-4f18-8803-1fde5b921f9f',
];
attackTest(t, {
  name: 'service id text',
  corpus: SERVICE_IDS.map(utf8),
  codes: /^DECODE_SERVICE_ID$/,
  run: (input) => {
    parseServiceId(new TextDecoder().decode(input));
    return undefined;
  },
});
attackTest(t, {
  name: 'service id',
  corpus: SERVICE_IDS.map((text) => encodeServiceId(parseServiceId(text))),
  codes: /^DECODE_SERVICE_ID$/,
  run: (input) => encodeServiceId(decodeServiceId(input)),
});
attackTest(t, {
  name: 'fixed-width service id',
  corpus: SERVICE_IDS.map((text) => encodeFixedServiceId(parseServiceId(text))),
  codes: /^DECODE_SERVICE_ID$/,
  run: (input) => encodeFixedServiceId(decodeFixedServiceId(input)),
});

attackTest(t, {
  name: 'decryption error',
  corpus: [
    encodeDecryptionError({ ratchetKey: undefined, timestampMs: 7, deviceId: 1 }),
    ...accepted(hexFields('misc/plaintext-content.json', 'serialized'), decodeDecryptionError),
  ],
  codes: DECODE,
  run: (input) => encodeDecryptionError(decodeDecryptionError(input)),
});
attackTest(t, {
  name: 'plaintext content',
  corpus: hexFields('misc/plaintext-content.json', 'plaintextContent'),
  header: 1,
  codes: DECODE,
  run: (input) => {
    decodePlaintextContent(input);
    return undefined;
  },
});

const GROUPS = 'groups/conversations.json';
attackTest(t, {
  name: 'distribution message',
  corpus: hexFields(GROUPS, 'distributionMessage'),
  header: 1,
  codes: DECODE,
  run: (input) => encodeDistributionMessage(decodeDistributionMessage(input)),
});
attackTest(t, {
  name: 'sender key message',
  corpus: hexFields('groups/derivation.json', 'message'),
  header: 1,
  codes: DECODE,
  run: (input) => {
    decodeSenderKeyMessage(input);
    return undefined;
  },
});
attackTest(t, {
  name: 'sender key record',
  corpus: accepted(
    [...hexFields(GROUPS, 'senderRecordAfterCreate'), ...hexFields(GROUPS, 'recordAfter')],
    decodeSenderKeyRecord,
  ),
  codes: DECODE,
  run: (input) => encodeSenderKeyRecord(decodeSenderKeyRecord(input)),
});

const CERTIFICATES = 'sealed-sender/certificates.json';
attackTest(t, {
  name: 'sender certificate',
  corpus: accepted(hexFields(CERTIFICATES, 'certificate'), decodeSenderCertificate),
  codes: DECODE,
  run: (input) => {
    decodeSenderCertificate(input);
    return undefined;
  },
});
attackTest(t, {
  name: 'server certificate',
  corpus: accepted(hexFields(CERTIFICATES, 'serialized'), decodeServerCertificate),
  codes: DECODE,
  run: (input) => {
    decodeServerCertificate(input);
    return undefined;
  },
});
attackTest(t, {
  name: 'sealed content',
  corpus: accepted(hexFields('sealed-sender/usmc.json', 'serialized'), decodeSealedContent),
  codes: DECODE,
  run: (input) => {
    decodeSealedContent(input);
    return undefined;
  },
});

for (const [version, file] of [
  ['v1', 'sealed-sender/v1.json'],
  ['v2', 'sealed-sender/v2-received.json'],
] as const) {
  const { recipient } = recorded(file) as { recipient: { identityPrivateKey: string } };
  const secret = toPrivateKey(hex(recipient.identityPrivateKey));
  const identity = { secret, public: crypto.x25519PublicKey(secret) };
  const open = (input: Uint8Array): unknown => openUnvalidated(crypto, identity, input);
  attackTest(t, {
    name: `sealed message ${version}`,
    corpus: accepted(hexFields(file, 'message'), open),
    header: 1,
    codes: /^(DECODE_|VERIFY_SEALED_SENDER$|VERIFY_KEY_AGREEMENT$)/,
    share: 0.25, // each input costs curve operations
    run: (input) => {
      open(input);
      return undefined;
    },
  });
}
