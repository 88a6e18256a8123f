// The protocol without one of its defences: see ../mutants.mjs.
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

/** Row, compiled file, the defence, what stands there without it, the test file to run. */
export const MUTANTS = [
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

/** Tests that count by file: their names come from vectors. */
export const BY_FILE = [product];
