// Takes one defence out of the compiled protocol at a time and runs the tests that name its attack: a test
// that stays green without its defence proves nothing.
//
//   npm run mutants             all of them
//   npm run mutants -- D02 C04  only these rows
//
// Works on a copy; prints one line a mutant and `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../packages/protocol/', import.meta.url));
const SPEC = fileURLToPath(new URL('../spec/', import.meta.url));
const VECTORS = fileURLToPath(new URL('../test-vectors/', import.meta.url));

const groups = 'scenario/groups.test.js';
const sealed = 'scenario/sealed-sender.test.js';
const handshake = 'scenario/handshake-attacks.test.js';
const messages = 'scenario/message-attacks.test.js';
const budget = 'scenario/handshake-budget.test.js';
const thief = 'scenario/stolen-keys.test.js';
const sessions = 'scenario/sessions.test.js';
const keys = 'unit/identity-prekeys.test.js';
const files = 'unit/attachments.test.js';
const strict = 'unit/strictness.test.js';
const store = 'unit/memory-store.test.js';
const formats = 'unit/formats.test.js';
const product = 'vectors/product.test.js';

/** row, compiled file, the defence, what stands there without it, the test files to run. */
const MUTANTS = [
  ['A01', 'crypto/noble.js', 'if (isAllZero(shared)) {', 'if (false) {', keys],
  ['A02', 'strictness.js', "found.push('identity-not-canonical');", ';', strict],
  ['A02', 'strictness.js', "? [] : ['identity-not-canonical']", '? [] : []', strict],
  [
    'A03',
    'crypto/xeddsa.js',
    'signature.length === 64 && (signature[63] & 0x60) === 0',
    'signature.length === 64',
    product,
  ],
  [
    'A03',
    'crypto/edwards25519.js',
    'if (isZero(x) && sign === 1)',
    'if (false)',
    'unit/edwards25519.test.js',
  ],
  [
    'A03',
    'crypto/edwards25519.js',
    'if (!equalBytes(canonical, encoded))',
    'if (false)',
    'unit/edwards25519.test.js',
  ],
  ['A05', 'types.js', 'if (bytes[0] !== KYBER1024_KEY_TYPE)', 'if (false)', product],
  ['A07', 'crypto/constant-time.js', 'if (a.length !== b.length)', 'if (false)', messages],
  ['A08', 'triple-ratchet.js', 'if (!equalBytes(mac, message.mac))', 'if (false)', messages],
  [
    'A09',
    'attachments.js',
    'const digestFits = equalBytes(this.#digest.snapshot(), this.#pointer.digest);',
    'const digestFits = true;',
    files,
  ],
  ['A13', 'strictness.js', ": ['message-not-canonical'];", ': [];', strict],
  ['B01', 'session-start.js', 'verifyBundle(crypto, bundle);', ';', handshake],
  ['B02', 'session-start.js', 'minVersion: 1,', 'minVersion: 0,', handshake],
  [
    'B03',
    'types.js',
    'if (bytes[0] !== CURVE_KEY_TYPE)',
    'if (false)',
    'unit/identity-prekeys.test.js',
  ],
  ['B06', 'memory-store.js', 'if (this.#uses.has(useText(use))) {', 'if (false) {', handshake],
  [
    'B09',
    'triple-ratchet.js',
    'if (!equalBytes(expectedAddresses, message.addresses))',
    'if (false)',
    handshake,
  ],
  [
    'B10',
    'pqxdh.js',
    '...secrets);\n    const keys',
    '...secrets.slice(1));\n    const keys',
    thief,
  ],
  [
    'B10',
    'pqxdh.js',
    '...secrets);\n    const keys',
    '...secrets.toSpliced(1, 1));\n    const keys',
    thief,
  ],
  [
    'B12',
    'memory-store.js',
    'firstUse === true && known !== undefined',
    'false && known !== undefined',
    store,
  ],
  [
    'B13',
    'prekeys.js',
    'if (!crypto.xeddsaVerify(identityKey, kemPreKey.signature, kemPreKey.public)) {',
    'if (false) {',
    handshake,
  ],
  ['B15', 'operations.js', 'this.#handshakes.check(remote.name, firstUse, nowMs);', ';', budget],
  ['B15', 'operations-budget.js', '(stranger && this.#strangers.spent(nowMs))', 'false', budget],
  ['B15', 'operations-budget.js', '(own?.spent(nowMs) ?? false)', 'false', budget],
  [
    'C01',
    'double-ratchet.js',
    'if (kept === undefined)\n            throw new DuplicateMessageError(chain.index, counter);',
    '',
    messages,
  ],
  [
    'C02',
    'double-ratchet.js',
    'if (counter - chain.index > forwardJumpsMax)',
    'if (false)',
    sessions,
  ],
  [
    'C02',
    'sender-keys.js',
    'if (iteration - chain.iteration > MAX_FORWARD_JUMPS) {',
    'if (false) {',
    groups,
  ],
  [
    'C04',
    'triple-ratchet.js',
    'if (!equalBytes(mac, message.mac))',
    'if (false)',
    'property/sessions.test.js',
  ],
  [
    'C13',
    'session-record.js',
    'createdMs + UNACKNOWLEDGED_SESSION_MAX_MS < nowMs',
    'false',
    sessions,
  ],
  [
    'C14',
    'repair.js',
    'return writer.uint64(2, message.timestampMs)',
    "return writer.text(9, message.ratchetKey ? 'pairwise' : 'group').uint64(2, message.timestampMs)",
    formats,
  ],
  [
    'D01',
    'sealed-sender/certificates.js',
    'return nowMs <= certificate.expiresMs;',
    'return true;',
    sealed,
  ],
  ['D01', 'sealed-sender/certificates.js', 'if (!rooted)', 'if (false)', sealed],
  [
    'D01',
    'sealed-sender/index.js',
    'if (!isValidSenderCertificate(crypto, certificate, policy, nowMs)) {',
    'if (false) {',
    sealed,
  ],
  [
    'D02',
    'sealed-sender/v1.js',
    'if (!samePublicBytes(senderBytes, content.senderCertificate.identityKey))',
    'if (false)',
    sealed,
  ],
  ['D02', 'sealed-sender/v2.js', 'if (!equalBytes(expected, at))', 'if (false)', sealed],
  ['D03', 'sealed-sender/index.js', 'if (isOurs(certificate, self)) {', 'if (false) {', sealed],
  [
    'D14',
    'envelope/multi-recipient.js',
    'concatBytes(new Uint8Array([RECEIVED]), keyMaterial, shared)',
    'concatBytes(new Uint8Array([RECEIVED]), keyMaterial, shared, bytes)',
    sealed,
  ],
  [
    'E02',
    'sender-keys.js',
    'if (!crypto.xeddsaVerify(signingKey, message.signature, message.signedBytes)) {',
    'if (false) {',
    groups,
  ],
  ['E03', 'sender-keys.js', 'const first = known ?? {', 'const first = {', groups],
  [
    'E05',
    'sender-keys.js',
    'iteration: chain.iteration,\n        chainKey: chain.seed,',
    'iteration: 0,\n        chainKey: record.states.at(-1).first ?? chain.seed,',
    groups,
  ],
  ['E06', 'sender-keys.js', 'state.chainId === message.chainId);', 'true);', groups],
  ['E08', 'sender-keys.js', 'others.slice(0, MAX_SENDER_KEY_STATES - 1)', 'others', groups],
  [
    'F02',
    'fingerprint.js',
    'const halves = [digitsOf(ours), digitsOf(theirs)].sort();',
    'const halves = [digitsOf(ours), digitsOf(ours)];',
    'unit/fingerprint.test.js',
  ],
  [
    'G05',
    'provisioning.js',
    'if (!equalBytes(expected, body.subarray(body.length - 32)))',
    'if (false)',
    formats,
  ],
  ['H01', 'attachments.js', 'if (!fits || !macFits || !digestFits)', 'if (false)', files],
  [
    'H02',
    'incremental-mac.js',
    'if (failed || !equalBytes(found, expected)) {',
    'if (false) {',
    files,
  ],
];

const wanted = process.argv.slice(2);
const chosen = MUTANTS.filter(([row]) => wanted.length === 0 || wanted.includes(row));
const copy = mkdtempSync(join(tmpdir(), 'qasid-mutants-'));
const root = join(copy, 'packages/protocol');
for (const name of ['dist', 'dist-test', 'package.json', 'src']) {
  cpSync(join(PACKAGE, name), join(root, name), { recursive: true });
}
symlinkSync(join(PACKAGE, 'node_modules'), join(root, 'node_modules'));
symlinkSync(VECTORS, join(copy, 'test-vectors'));
symlinkSync(SPEC, join(copy, 'spec'));

function run(test) {
  return spawnSync(process.execPath, [join(root, 'dist-test', test)], {
    encoding: 'utf8',
    env: { ...process.env, TAP_TIMEOUT: '280' },
    timeout: 300_000,
    maxBuffer: 256 * 1024 * 1024,
  });
}

let passed = 0;
let failed = 0;
const report = (ok, line) => {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'ok' : 'not ok'}: ${line}`);
};
try {
  for (const test of new Set(chosen.map(([, , , , name]) => name))) {
    const { status } = run(test);
    report(status === 0, `${test} is green with all defences`);
  }
  for (const [row, file, find, replace, test] of chosen) {
    const path = join(root, 'dist', file);
    const source = readFileSync(path, 'utf8');
    const name = `ATK-${row} ${file}: ${find.split('\n')[0].slice(0, 60)}`;
    if (source.split(find).length !== 2) {
      report(false, `${name}: stands there ${source.split(find).length - 1} times`);
      continue;
    }
    writeFileSync(
      path,
      source.replace(find, () => replace),
    );
    const { status, stdout } = run(test);
    writeFileSync(path, source);
    const red = stdout
      .split('\n')
      .some((line) => /^\s*not ok/.test(line) && (line.includes(`ATK-${row}`) || test === product));
    report(status !== 0 && red, red ? `${name}: seen red` : `${name}: stayed green`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
