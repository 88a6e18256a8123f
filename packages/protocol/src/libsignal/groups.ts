/** Façade. Groups over the caller's sender-key store. */
import { provider as crypto } from '#provider';
import { copyBytes, type Bytes } from '../bytes.js';
import { QasidError } from '../errors.js';
import {
  EMPTY_SENDER_KEY_RECORD,
  groupDecrypt as openGroup,
  groupEncrypt as sealGroup,
  processDistributionMessage,
  senderKeyDistributionId,
} from '../sender-keys.js';
import { uuidBytes, uuidText, type ProtocolAddress, type Uuid } from './address.js';
import { ErrorCode, generic, LibSignalErrorBase, stored, translated, translate } from './errors.js';
import {
  CiphertextMessage,
  CiphertextMessageType,
  type SenderKeyDistributionMessage,
} from './messages.js';
import { SenderKeyRecord } from './records.js';
import type { SenderKeyStore } from './stores.js';

/** Take up a member's sender key. */
export async function processSenderKeyDistributionMessage(
  sender: ProtocolAddress,
  message: SenderKeyDistributionMessage,
  store: SenderKeyStore,
): Promise<void> {
  const operation = 'SenderKeyDistributionMessage_Process';
  const id = message.distributionId();
  const found = await stored('loadSenderKey', operation, () => store.getSenderKey(sender, id));
  const { state } = translate(operation, () =>
    processDistributionMessage(found?._core ?? EMPTY_SENDER_KEY_RECORD, message.serialize()),
  );
  const record = SenderKeyRecord._of(state);
  await stored('storeSenderKey', operation, () => store.saveSenderKey(sender, id, record));
}

/** One group message. */
export async function groupEncrypt(
  sender: ProtocolAddress,
  distributionId: Uuid,
  store: SenderKeyStore,
  message: Uint8Array,
): Promise<CiphertextMessage> {
  const operation = 'GroupCipher_EncryptMessage';
  const id = uuidBytes(distributionId);
  const name = uuidText(id);
  const found = await stored('loadSenderKey', operation, () => store.getSenderKey(sender, name));
  if (found === null) throw noSenderKey(name, operation);
  const sent = groupCall(operation, name, () => sealGroup(crypto, found._core, id, message));
  const record = SenderKeyRecord._of(sent.state);
  await stored('storeSenderKey', operation, () => store.saveSenderKey(sender, name, record));
  return CiphertextMessage._of(CiphertextMessageType.SenderKey, sent.output);
}

/** Open a group message. */
export async function groupDecrypt(
  sender: ProtocolAddress,
  store: SenderKeyStore,
  message: Uint8Array,
): Promise<Bytes> {
  const operation = 'GroupCipher_DecryptMessage';
  const bytes = copyBytes(message);
  const id = uuidText(translate(operation, () => senderKeyDistributionId(bytes)));
  const found = await stored('loadSenderKey', operation, () => store.getSenderKey(sender, id));
  if (found === null) throw noSenderKey(id, operation);
  const opened = groupCall(operation, id, () => openGroup(crypto, found._core, bytes));
  const record = SenderKeyRecord._of(opened.state);
  await stored('storeSenderKey', operation, () => store.saveSenderKey(sender, id, record));
  return opened.output;
}

/** What the group cipher's failures are called there. */
function groupCall<Result>(operation: string, distributionId: Uuid, body: () => Result): Result {
  try {
    return body();
  } catch (error) {
    const code = error instanceof QasidError ? error.code : undefined;
    switch (code) {
      case 'STATE_NO_SENDER_KEY':
        throw noSenderKey(distributionId, operation);
      case 'STATE_INVALID_SENDER_KEY':
        throw new LibSignalErrorBase(
          `invalid sender key session with distribution ID ${distributionId}`,
          ErrorCode.InvalidSenderKeySession,
          operation,
          { properties: { distribution_id: distributionId }, cause: error },
        );
      case 'STATE_TOO_FAR_AHEAD':
        throw generic(
          'invalid SenderKey message: message from too far into the future',
          operation,
          error,
        );
      case 'VERIFY_DECRYPTION':
        throw generic('invalid SenderKey message: decryption failed', operation, error);
      case 'LIMIT_CHAIN_INDEX':
        throw generic(
          'invalid state for call to sender_chain_key_next to succeed: Sender chain is too long',
          operation,
          error,
        );
      default:
        throw translated(error, operation);
    }
  }
}

function noSenderKey(distributionId: Uuid, operation: string): Error {
  return generic(`missing sender key state for distribution ID ${distributionId}`, operation);
}
