/** spqr/session-import.json: records exported in every SPQR state are imported and open the next message. */
import { toHex } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { decryptMessage } from '#src/session.js';
import { decodeSessionRecord, encodeSessionRecord } from '#src/session-record.js';
import { decodeSignalMessage } from '#src/wire/messages.js';
import { check as same, hex, type Result } from '../../support/hex.js';
import { currentOf } from '../../support/recorded.js';

interface File {
  items: {
    state: string;
    sessionRecord: string;
    incomingType: number;
    incoming: string;
    plaintext: string;
    spqrStateBefore: string;
    spqrStateAfterSha256: string;
  }[];
}

export const files = ['spqr/session-import.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  for (const item of (json as File).items) {
    const bytes = hex(item.sessionRecord);
    const record = decodeSessionRecord(bytes);
    yield same(`${item.state}: re-encoded`, encodeSessionRecord(record), toHex(bytes));
    const before = crypto.sha256(currentOf(bytes).spqr);
    yield same(`${item.state}: SPQR before`, before, item.spqrStateBefore);
    const { state, output } = decryptMessage(crypto, record, {
      local: { name: 'local', deviceId: 1 },
      remote: { name: 'remote', deviceId: 1 },
      message: decodeSignalMessage(hex(item.incoming)),
    });
    const text = new TextDecoder().decode(output);
    yield { name: `${item.state}: plaintext`, ok: text === item.plaintext, detail: text };
    const after = crypto.sha256(currentOf(encodeSessionRecord(state)).spqr);
    yield same(`${item.state}: SPQR after`, after, item.spqrStateAfterSha256);
  }
}
