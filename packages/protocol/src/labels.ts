/**
 * Every label that separates one use of a key from another, in one table: spec/00-conventions.md lists
 * the same rows in the same order. ASCII, no terminator. A test proves that no label is a prefix of
 * another within its family.
 */
import { concatBytes, utf8, type Bytes } from './bytes.js';

/** 04 PQXDH key derivation. */
export const LABEL_PQXDH: Bytes = utf8('WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024');
/** 05 root key step. */
export const LABEL_ROOT: Bytes = utf8('WhisperRatchet');
/** 05, 07 keys of one message. */
export const LABEL_MESSAGE_KEYS: Bytes = utf8('WhisperMessageKeys');
/** 05 HMAC input for a message key seed. */
export const LABEL_MESSAGE_KEY_SEED: Bytes = new Uint8Array([0x01]);
/** 05 HMAC input for the next chain key. */
export const LABEL_CHAIN_KEY: Bytes = new Uint8Array([0x02]);
/** 02 alternate identity signature: 32 bytes 0xFF, then this text. */
export const LABEL_ALTERNATE_IDENTITY: Bytes = concatBytes(
  new Uint8Array(32).fill(0xff),
  utf8('Signal_PNI_Signature'),
);
/** 06 chain start. Two spaces before "Start". */
export const LABEL_SPQR_CHAIN_START: Bytes = utf8('Signal PQ Ratchet V1 Chain  Start');
/** 06 a new epoch in the chain. */
export const LABEL_SPQR_CHAIN_EPOCH: Bytes = utf8('Signal PQ Ratchet V1 Chain Add Epoch');
/** 06 next key of a chain. */
export const LABEL_SPQR_CHAIN_NEXT: Bytes = utf8('Signal PQ Ratchet V1 Chain Next');
/** 06 authenticator update; followed by the epoch as u64. */
export const LABEL_SPQR_AUTH_UPDATE: Bytes = utf8('Signal_PQCKA_V1_MLKEM768:Authenticator Update');
/** 06 epoch secret; followed by the epoch as u64. */
export const LABEL_SPQR_EPOCH_SECRET: Bytes = utf8('Signal_PQCKA_V1_MLKEM768:SCKA Key');
/** 06 header MAC; followed by the epoch as u64. */
export const LABEL_SPQR_HEADER_MAC: Bytes = utf8('Signal_PQCKA_V1_MLKEM768:ekheader');
/** 06 ciphertext MAC; followed by the epoch as u64. */
export const LABEL_SPQR_CIPHERTEXT_MAC: Bytes = utf8('Signal_PQCKA_V1_MLKEM768:ciphertext');
/** 09 keys of one group message. */
export const LABEL_GROUP_MESSAGE_KEYS: Bytes = utf8('WhisperGroup');
/** 10 v1: salt of the ephemeral keys; followed by the recipient's and the ephemeral public key. */
export const LABEL_SEALED_V1: Bytes = utf8('UnidentifiedDelivery');
/** 10 v2: the ephemeral private key of a message. */
export const LABEL_SEALED_V2_R: Bytes = utf8('Sealed Sender v2: r (2023-08)');
/** 10 v2: the key of the shared ciphertext. */
export const LABEL_SEALED_V2_K: Bytes = utf8('Sealed Sender v2: K');
/** 10 v2: mask of one recipient's copy of M. */
export const LABEL_SEALED_V2_DH: Bytes = utf8('Sealed Sender v2: DH');
/** 10 v2: tag that proves the sender to one recipient. */
export const LABEL_SEALED_V2_DH_SENDER: Bytes = utf8('Sealed Sender v2: DH-sender');
/** 16 device-linking message keys. */
export const LABEL_PROVISIONING: Bytes = utf8('TextSecure Provisioning Message');
/** 16 username link encryption key. */
export const LABEL_USERNAME_LINK_ENCRYPTION: Bytes = utf8('Signal Username Link Encryption Key');
/** 16 username link MAC key. */
export const LABEL_USERNAME_LINK_MAC: Bytes = utf8('Signal Username Link Authentication Key');
/** 12 Ed25519 context of a device's answer to the relay's challenge. */
export const LABEL_RELAY_AUTH: Bytes = utf8('qasid/auth/1');
/** 12 Ed25519 context of a registration. */
export const LABEL_RELAY_REGISTER: Bytes = utf8('qasid/register/1');
/** 12 Ed25519 context of a device that joins an account. */
export const LABEL_RELAY_LINK: Bytes = utf8('qasid/link/1');
/** 12 SHA-256 prefix of the work of a registration. */
export const LABEL_REGISTER_WORK: Bytes = utf8('qasid/register-work/1');
/** 12 XEdDSA context of a link grant. */
export const LABEL_LINK_GRANT: Bytes = utf8('qasid/link-grant/1');
/** 12 XEdDSA context of the deletion of an account. */
export const LABEL_DELETE_ACCOUNT: Bytes = utf8('qasid/delete-account/1');
/** 12 XEdDSA context of an account's device list. */
export const LABEL_DEVICE_LIST: Bytes = utf8('qasid/device-list/1');
/** 12 hash of a delivery token, as the relay keeps it. */
export const LABEL_DELIVERY_TOKEN: Bytes = utf8('qasid/delivery-token/1');
/** 12 client id of one view of a multi-recipient send. */
export const LABEL_MANY_CLIENT_ID: Bytes = utf8('qasid/many-client-id/1');
