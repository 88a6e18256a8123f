/** fingerprint/fingerprints.json: hashes, digits, scannable codes, iteration limits, comparing. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import {
  compareScannable,
  createFingerprint,
  type FingerprintParty,
  fingerprintHash,
} from '#src/fingerprint.js';
import { toPublicKey } from '#src/types.js';
import { hex, type Result, check as same } from '../../support/hex.js';

interface Case {
  note: string;
  iterations: number;
  version: number;
  localId: string;
  localKey: string;
  remoteId: string;
  remoteKey: string;
  localHash: string;
  display: string;
  scannable: string;
  remoteScannable: string;
  remoteDisplay: string;
  compareLocalWithRemote: boolean;
  compareLocalWithItself: boolean;
}

interface File {
  cases: Case[];
  iterationLimits: { iterations: number; ok?: string; error?: string }[];
  compare: { note: string; ours: string; theirs: string; ok?: boolean; error?: string }[];
}

/** Names of the vectors to codes of ours. */
const CODES: Readonly<Record<string, string>> = {
  'fingerprint-iterations': 'USAGE_RANGE',
  'fingerprint-parsing': 'DECODE_FINGERPRINT',
  'fingerprint-version-mismatch': 'DECODE_FINGERPRINT_VERSION',
};

export const files = ['fingerprint/fingerprints.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as File;
  for (const v of file.cases) {
    const local = party(v.localId, v.localKey);
    const remote = party(v.remoteId, v.remoteKey);
    yield same(`${v.note}: hash`, fingerprintHash(crypto, local, v.iterations), v.localHash);
    const ours = createFingerprint(crypto, local, remote, v.version, v.iterations);
    const theirs = createFingerprint(crypto, remote, local, v.version, v.iterations);
    yield { name: `${v.note}: digits`, ok: ours.digits === v.display, detail: ours.digits };
    yield { name: `${v.note}: their digits`, ok: theirs.digits === v.remoteDisplay };
    yield same(`${v.note}: scannable`, ours.scannable, v.scannable);
    yield same(`${v.note}: their scannable`, theirs.scannable, v.remoteScannable);
    const matches = compareScannable(ours.scannable, theirs.scannable);
    yield { name: `${v.note}: compare`, ok: matches === v.compareLocalWithRemote };
    const itself = compareScannable(ours.scannable, ours.scannable);
    yield { name: `${v.note}: with itself`, ok: itself === v.compareLocalWithItself };
  }
  const [first] = file.cases;
  for (const v of file.iterationLimits) {
    // The keys of these cases are not recorded: only whether the count is accepted can be checked.
    const key = party('00', (first as Case).localKey);
    const got = outcome(() => createFingerprint(crypto, key, key, 2, v.iterations).digits.length);
    const expected = v.error === undefined ? '60' : CODES[v.error];
    yield { name: `${v.iterations} iterations`, ok: got === expected, detail: got };
  }
  for (const v of file.compare) {
    const got = outcome(() => compareScannable(hex(v.ours), hex(v.theirs)));
    const expected = v.error === undefined ? String(v.ok) : CODES[v.error];
    yield { name: `compare: ${v.note}`, ok: got === expected, detail: got };
  }
}

function party(identifier: string, key: string): FingerprintParty {
  return { identifier: hex(identifier), identityKey: toPublicKey(hex(key)) };
}

function outcome(run: () => unknown): string {
  try {
    return String(run());
  } catch (error) {
    if (!(error instanceof QasidError)) throw error;
    return error.code;
  }
}
