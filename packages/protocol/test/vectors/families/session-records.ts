/** sessions/records.json: parsing and re-encoding of records, staleness to the millisecond, archiving. */
import { toHex } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import {
  archiveCurrentSession,
  decodeSessionRecord,
  encodeSessionRecord,
  isUsable,
  type SessionRecord,
} from '#src/session-record.js';
import { base64, hex, check as same, type Result } from '../../support/hex.js';
import { expectedCode, type RecordedError } from '../../support/recorded.js';

interface File {
  parsing: {
    note: string;
    bytesHex: string;
    expected: { hasCurrentState?: boolean; reserializedHex?: string; error?: RecordedError };
  }[];
  staleness: { createdNowMs: number; nowMs: number; hasCurrentState: boolean }[];
  record: string;
  signedPreKeyId: number;
  remoteRegistrationId: number;
  localRegistrationId: number;
  afterArchive: string;
}

export const files = ['sessions/records.json'];

/** `record`, as if its session had been made at `createdMs`. */
function madeAt(record: SessionRecord, createdMs: number): SessionRecord {
  const { current } = record;
  const pending = current?.pendingPreKey;
  if (current === undefined || pending === undefined) throw new Error('no pending session');
  const pendingPreKey = { ...pending, createdAtSeconds: Math.floor(createdMs / 1000) };
  return { ...record, current: { ...current, pendingPreKey } };
}

export function* check(json: unknown, _crypto: CryptoProvider): Iterable<Result> {
  const file = json as File;
  for (const { note, bytesHex, expected } of file.parsing) {
    try {
      const record = decodeSessionRecord(hex(bytesHex));
      yield { name: `${note}: usable`, ok: isUsable(record, 0) === expected.hasCurrentState };
      yield same(note, encodeSessionRecord(record), expected.reserializedHex ?? 'an error');
    } catch (error) {
      if (!(error instanceof QasidError)) throw error;
      const ok = error.code === expectedCode(expected.error?.message ?? 'no error');
      yield { name: note, ok, detail: error.code };
    }
  }
  const bytes = base64(file.record);
  const record = decodeSessionRecord(bytes);
  const { current } = record;
  yield same('record', encodeSessionRecord(record), toHex(bytes));
  for (const { createdNowMs, nowMs, hasCurrentState } of file.staleness) {
    const usable = isUsable(madeAt(record, createdNowMs), nowMs);
    const name = `ATK-C13 made at ${createdNowMs}, now ${nowMs}: usable is ${hasCurrentState}`;
    yield { name, ok: usable === hasCurrentState };
  }
  yield {
    name: 'signed prekey id of 2^31 or more',
    ok: current?.pendingPreKey?.signedPreKeyId === file.signedPreKeyId,
  };
  yield {
    name: 'registration ids',
    ok:
      current?.remoteRegistrationId === file.remoteRegistrationId &&
      current.localRegistrationId === file.localRegistrationId,
  };
  const archived = encodeSessionRecord(archiveCurrentSession(record).state);
  yield same('archived', archived, toHex(base64(file.afterArchive)));
}
