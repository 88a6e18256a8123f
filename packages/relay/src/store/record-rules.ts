/**
 * 13 Relay §11. May a record be changed? The same answer in every store.
 */
import { samePublicBytes } from '@qasid/protocol/envelope';
import type { PutRecordWrite } from './port-records.js';

/**
 * Why a change does not go ahead; `undefined` when it does. The capability is judged before the version: who
 * cannot write learns nothing by trying.
 */
export function judgeRecord(
  row: { readonly version: number; readonly verifier: Uint8Array } | undefined,
  change: { readonly verifier: Uint8Array; readonly expectedVersion: number },
): { kind: 'recordDenied' } | { kind: 'recordConflict'; version: number } | undefined {
  // Hashes of secrets: how long the comparison takes tells nothing that leads back to them.
  if (row && !samePublicBytes(row.verifier, change.verifier)) return { kind: 'recordDenied' };
  const version = row?.version ?? 0;
  return version === change.expectedVersion ? undefined : { kind: 'recordConflict', version };
}

/** Whether a put is one whose answer got lost: it is what made the value that is there. */
export function isRepeatedPut(
  row: { readonly version: number; readonly value: Uint8Array } | undefined,
  write: PutRecordWrite,
): boolean {
  return row?.version === write.expectedVersion + 1 && samePublicBytes(row.value, write.value);
}
