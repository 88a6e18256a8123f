/**
 * 13 Relay §11. Records in memory: the rules of sqlite-records.ts over a map.
 */
import { copyBytes, toHex } from '@qasid/protocol/envelope';
import { isRepeatedPut, judgeRecord } from './record-rules.js';
import type { RecordResults, RecordRow, RecordWrite } from './port-records.js';

/** Records that end with the process. */
export class MemoryRecords {
  readonly #rows = new Map<string, RecordRow & { readonly verifier: Uint8Array }>();

  get(key: Uint8Array): RecordRow | undefined {
    const row = this.#rows.get(toHex(key));
    return row && { version: row.version, value: row.value, day: row.day };
  }

  apply(write: RecordWrite): RecordResults[RecordWrite['kind']] {
    if (write.kind === 'sweepRecords') {
      const old = [...this.#rows].filter(([, { day }]) => day < write.beforeDay);
      for (const [key] of old.slice(0, write.limit)) this.#rows.delete(key);
      return { kind: 'recordsSwept', deleted: Math.min(old.length, write.limit) };
    }
    const key = toHex(write.key);
    const row = this.#rows.get(key);
    if (write.kind === 'touchRecord') {
      if (row && row.day < write.day) this.#rows.set(key, { ...row, day: write.day });
      return { kind: 'recordTouched' };
    }
    const refusal = judgeRecord(row, write);
    if (
      refusal?.kind === 'recordConflict' &&
      write.kind === 'putRecord' &&
      isRepeatedPut(row, write)
    ) {
      return { kind: 'recordPut', version: refusal.version };
    }
    if (refusal !== undefined) return refusal;
    if (write.kind === 'deleteRecord') {
      this.#rows.delete(key);
      return { kind: 'recordDeleted' };
    }
    if (row === undefined && !write.mayCreate) return { kind: 'recordDenied' };
    const { verifier, day } = write;
    const version = write.expectedVersion + 1;
    this.#rows.set(key, {
      version,
      verifier: copyBytes(verifier),
      day,
      value: copyBytes(write.value),
    });
    return { kind: 'recordPut', version };
  }
}
