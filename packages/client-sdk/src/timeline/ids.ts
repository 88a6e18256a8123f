/**
 * Names of conversations: an account's UUID, or a group's id as hex.
 */
import { fromHex, toHex, UsageError, type Bytes } from '@qasid/protocol';
import { accountText, parseAccountText, toAccountId } from '@qasid/protocol/envelope';

/** The name of what 16 (account) or 32 (group) bytes mean. */
export function idText(bytes: Bytes): string {
  return bytes.length === 16 ? accountText(toAccountId(bytes)) : toHex(bytes);
}

/** The bytes behind a name. @throws UsageError `USAGE_ARGUMENT` */
export function idBytes(text: string): Bytes {
  if (text.length !== 64) return parseAccountText(text);
  const bytes = fromHex(text);
  if (bytes === undefined) throw new UsageError('USAGE_ARGUMENT', 'not a conversation');
  return bytes;
}
