/**
 * Façade. Server certificates of Signal's own service that sender certificates may name by id: 2 staging,
 * 3 production. Public data. They are checked against the caller's trust roots like any other, so they give
 * nobody trust. The test certificate that libsignal-client also knows is left out on purpose (ATK-D01).
 */
import { fromHex } from '../bytes.js';
import { decodeServerCertificate, type ServerCertificate } from '../sealed-sender/index.js';

const ENCODED: readonly string[] = [
  // id 2
  '0a25080212210539450d63ebd0752c0fd4038b9d07a916f5e174b756d409b5ca79f4c97400631e124064c5a3' +
    '8b1e927497d3d4786b101a623ab34a7da3954fae126b04dba9d7a3604ed88cdc8550950f0d4a9134ceb7e19b' +
    '94139151d2c3d6e1c81e9d1128aafca806',
  // id 3
  '0a250803122105bc9d1d290be964810dfa7e94856480a3f7060d004c9762c24c575a1522353a5a1240c11ec3' +
    'c401eb0107ab38f8600e8720a63169e0e2eb8a3fae24f63099f85ea319c3c1c46d3454706ae2a679d1fee690' +
    'a488adda98a2290b66c906bb60295ed781',
];

let decoded: readonly ServerCertificate[] | undefined;

/** The certificates, parsed when first asked for. */
export function knownServerCertificates(): readonly ServerCertificate[] {
  decoded ??= ENCODED.map((hex) => decodeServerCertificate(fromHex(hex) ?? new Uint8Array(0)));
  return decoded;
}
