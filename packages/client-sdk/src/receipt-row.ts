/**
 * 15 Content §§7, 9. One receipt on its way. Receipts that say something and those that only hand out a delivery
 * token are made here alike, so that nobody can tell them apart by anything but what they say. ATK-D05.
 */
import { toHex, type CryptoProvider } from '@qasid/protocol';

import type { Clock } from './clock.js';
import { CONTENT_ID_BYTES, encodeContent, type DeliveryToken } from './content/index.js';
import type { ReceiptBody } from './content/index.js';
import type { Contact, OutboxRow } from './stores/port.js';

/**
 * A row for the outbox.
 *
 * @param delivery - Our delivery token, when this account is to get it.
 */
export function receiptRow(
  { crypto, clock }: { readonly crypto: CryptoProvider; readonly clock: Clock },
  { account, username }: Pick<Contact, 'account' | 'username'>,
  body: ReceiptBody,
  delivery: DeliveryToken | undefined,
): Omit<OutboxRow, 'id'> {
  const id = crypto.randomBytes(CONTENT_ID_BYTES);
  const content = encodeContent({
    id,
    sentAtMs: clock.now(),
    body,
    ...(delivery && { delivery }),
  });
  return {
    kind: 'receipt',
    messageId: toHex(id),
    account,
    username,
    content,
    parts: undefined,
    held: false,
    copied: true,
  };
}
