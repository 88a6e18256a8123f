// The client SDK without one of its defences: see ../mutants.mjs. Groups, devices, trust, calls, content, stores.

const attacks = 'e2e/groups-attacks.test.js';
const forks = 'e2e/groups-forks.test.js';
const groups = 'unit/groups.test.js';
const parts = 'unit/groups-parts.test.js';
const evil = 'e2e/evil.test.js';
const sealed = 'e2e/sealed.test.js';
const trust = 'e2e/trust.test.js';
const linking = 'unit/linking.test.js';
const devices = 'linking/linking.test.js';
const documents = 'unit/documents.test.js';
const timeline = 'unit/timeline.test.js';
const chain = 'unit/chain.test.js';
const receipts = 'unit/receipts.test.js';
const browser = 'unit/indexed-db.test.js';
const stores = 'unit/stores.test.js';
const copies = 'e2e/cloned-store.test.js';
const checked = 'e2e/checked.test.js';
const pinned = 'e2e/pinned-bundle.test.js';
const deviceGroups = 'linking/device-groups.test.js';
const calls = 'property/calls.test.js';
const glare = 'unit/calls-state.test.js';

/** Row, compiled file ('*': wherever it stands), the defence, what stands there without it, the test file to run. */
export const MUTANTS = [
  // Sessions and delivery.
  ['B08', '*', 'const GRACE_MS = 46 * DAY_MS;', 'const GRACE_MS = 4600 * DAY_MS;', pinned],
  [
    'B07',
    '*',
    'return this.#options.crypto.sha256(clientId, body).slice(0, 16);',
    'return clientId;',
    evil,
  ],
  ['C07', '*', 'if (!samePublicBytes(known.hash, hash))', 'if (false)', chain],
  ['C08', '*', 'mark.epoch > store.epoch', 'false', copies],
  ['C08', '*', 'UPDATE session SET value = NULL', 'UPDATE session SET value = value', copies],
  [
    'C08',
    '*',
    'version: at.value.version + 1, value: undefined',
    'version: at.value.version + 1, value: at.value.value',
    browser,
  ],
  ['I01', '*', 'const verdict = open.length > 0 ? {', 'const verdict = false ? {', chain],
  [
    'I02',
    '*',
    "kind: 'late', counter: link.counter, predecessor, successor, silent",
    "kind: 'late', counter: link.counter, predecessor: undefined, successor: undefined, silent",
    chain,
  ],
  // What others learn.
  [
    'D01',
    '*',
    'if (!isValidSenderCertificate(crypto, certificate, { trustRoots: [identityKey] }, nowMs)) {',
    'if (false) {',
    sealed,
  ],
  [
    'D02',
    '*',
    'if (trusted !== undefined && samePublicBytes(trusted, sealedBy))',
    'if (true)',
    sealed,
  ],
  [
    'D03',
    '*',
    'if (account === self.account && device === self.device) {\n        throw new StateError',
    'if (false) {\n        throw new StateError',
    sealed,
  ],
  [
    'D05',
    '*',
    'const rest = Math.min(RECEIPT_INTERVAL_MS, RECEIPT_INTERVAL_MS - since);',
    'const rest = 0;',
    receipts,
  ],
  [
    'D05',
    '*',
    "if (conversation.settings.status !== 'accepted' || peer !== author)",
    'if (peer !== author)',
    timeline,
  ],
  // Groups.
  [
    'E01',
    '*',
    'if (identity === undefined || !isSignedBy(crypto, identity, signed))',
    'if (false)',
    groups,
  ],
  [
    'E01',
    '*',
    'if (identity === undefined || !isSignedBy(crypto, identity, signed))',
    'if (false)',
    attacks,
  ],
  [
    'E02',
    '*',
    'if (key.account !== envelope.account || key.device !== envelope.device) {',
    'if (false) {',
    attacks,
  ],
  ['E02', '*', 'if (!isBound)', 'if (false)', attacks],
  [
    'E04',
    '*',
    'if (key.epoch !== now.epoch || key.ownDevices !== now.ownDevices)',
    'if (false)',
    parts,
  ],
  ['E04', '*', '.some((name) => !now.recipients.has(name))', '.some(() => false)', parts],
  ['E04', '*', '.some((name) => !now.recipients.has(name))', '.some(() => false)', deviceGroups],
  ['E16', '*', '.some((name) => !now.recipients.has(name))', '.some(() => false)', deviceGroups],
  ['E04', '*', 'if (!this.#deps.isCaughtUp())', 'if (false)', attacks],
  ['E06', '*', 'if (toHex(group.id) !== key.group)', 'if (false)', attacks],
  ['E09', '*', 'if (ageMs >= SENDER_KEY_AGE_MAX_MS || ageMs < 0)', 'if (false)', parts],
  ['E09', '*', 'if (key.count >= SENDER_KEY_MESSAGES_MAX)', 'if (false)', parts],
  ['E10', '*', 'return one.first.hash < other.first.hash;', 'return true;', forks],
  ['E10', '*', 'if (oneIsOut)\n        return false;', '', groups],
  ['E10', '*', 'const isFinal = ours !== undefined &&', 'const isFinal = false &&', groups],
  ['E10', '*', 'return rank(one) > rank(other);', 'return rank(one) < rank(other);', groups],
  ['E10', '*', 'if (shown >= head.state.version)', 'if (version > 0)', attacks],
  [
    'E13',
    '*',
    [
      'link.maker === self.account && samePublicBytes(link.tokenHash, hash)',
      'const same = now.link !== undefined && samePublicBytes(now.link.tokenHash, hash);',
    ],
    ['link.maker === self.account', 'const same = true;'],
    attacks,
  ],
  ['E14', '*', 'if (foreign || content.group !== undefined)', 'if (foreign)', attacks],
  [
    'L02',
    '*',
    'if (identity === undefined || !isSignedBy(crypto, identity, signed))',
    'if (false)',
    attacks,
  ],
  ['E11', '*', 'if (!isMember && !wasMember(chain, account))', 'if (false)', attacks],
  // Trust.
  [
    'F05',
    '*',
    "compareScannable(current.scannable, scanned) ? 'match' : 'mismatch'",
    "current.scannable.length === scanned.length ? 'match' : 'mismatch'",
    checked,
  ],
  [
    'F07',
    '*',
    'if (!isUsername(who)) {',
    'if (!isUsername(who.normalize("NFKC").replace(/[^a-z]/g, ""))) {',
    checked,
  ],
  [
    'F09',
    '*',
    'const list = verifyDeviceList(crypto, claim.devices, {',
    'const list = before.deviceListVersion > 0 ? { version: before.deviceListVersion, devices: before.devices } : verifyDeviceList(crypto, claim.devices, {',
    checked,
  ],
  [
    'F01',
    '*',
    'if (trusted !== undefined && !samePublicBytes(trusted, offered)) {',
    'if (false) {',
    trust,
  ],
  // Devices.
  [
    'G01',
    '*',
    'if (listed === undefined || listed.registrationId !== item.registrationId)\n                continue;',
    '',
    evil,
  ],
  ['G02', '*', 'return text.trim().toLowerCase().startsWith(SCHEME);', 'return false;', devices],
  [
    'G03',
    '*',
    'if (isNewer)\n            this.#options.onDevicesChanged(contact, before);',
    '',
    devices,
  ],
  ['G04', '*', 'versionMin: Math.max(1, before.deviceListVersion),', 'versionMin: 1,', evil],
  [
    'G05',
    '*',
    'if (!equalBytes(commitment, commitmentOf(this.#crypto, opened)))',
    'if (false)',
    linking,
  ],
  ['G06', '*', "if (body.kind === 'sent' && own) {", "if (body.kind === 'sent') {", evil],
  [
    'G08',
    '*',
    [
      '!equalBytes(opened.subarray(0, 32), arrival.hash)',
      'return concatBytes(id, u32be(number), new Uint8Array([device]));',
    ],
    ['false', 'return concatBytes(id, u32be(number));'],
    linking,
  ],
  [
    'G08',
    '*',
    [
      '!equalBytes(opened.subarray(0, 32), arrival.hash)',
      'return concatBytes(id, u32be(number), new Uint8Array([device]));',
    ],
    ['false', 'return concatBytes(id, new Uint8Array([device]));'],
    linking,
  ],
  // Content.
  ['H03', '*', 'chunkBytes <= CHUNK_BYTES_MAX', 'true', documents],
  ['H03', '*', 'return DEVICE.test(cut) ||', 'return', documents],
  ['H03', '*', '.split(/[/\\\\]/).at(-1)', ".split('/').at(-1)", documents],
  [
    'H03',
    '*',
    "return INERT_TYPE.test(plain) ? plain : 'application/octet-stream';",
    'return plain;',
    documents,
  ],
  [
    'H07',
    '*',
    [
      'const row = await batch.message(peer, change.targetAuthor, change.targetId);',
      "if (row.author !== author || row.kind !== 'text')",
    ],
    [
      'const row = (await batch.message(peer, change.targetAuthor, change.targetId)) ?? (await batch.message(peer, peer, change.targetId));',
      "if (row.kind !== 'text')",
    ],
    timeline,
  ],
  [
    'H09',
    '*',
    'return Math.min(Math.max(sentAtMs, nowMs - BEHIND_MAX_MS, 0), nowMs + AHEAD_MAX_MS);',
    'return sentAtMs;',
    timeline,
  ],
  // Stores and pages.
  ['H05', '*', 'export const SCRYPT_LOG2_N = 17;', 'export const SCRYPT_LOG2_N = 12;', stores],
  ['H05', '*', 'const SCRYPT_LOG2_N_MAX = 20;', 'const SCRYPT_LOG2_N_MAX = 31;', stores],
  ['H06', '*', 'mark.epoch > store.epoch', 'false', copies],
  [
    'H06',
    'stores/vault.js',
    ['gcmSeal(valueKey, utf8(place), value)', 'gcmOpen(valueKey, utf8(place), sealed)'],
    ['gcmSeal(valueKey, none, value)', 'gcmOpen(valueKey, none, sealed)'],
    stores,
  ],
  [
    'J01',
    '*',
    "generateKey({ name: 'AES-GCM', length: 256 }, false, [",
    "generateKey({ name: 'AES-GCM', length: 256 }, true, [",
    browser,
  ],
  [
    'J01',
    '*',
    "await crypto.subtle.generateKey(hmac, false, ['sign'])",
    "await crypto.subtle.generateKey(hmac, true, ['sign'])",
    browser,
  ],
  ['J02', '*', 'if (isNew && wasHere(name)) {', 'if (false) {', browser],
  [
    'J12',
    'stores/web-vault.js',
    'export async function createWebVault(passphrase, log2N = SCRYPT_LOG2_N) {',
    `export async function createWebVault(passphrase, log2N = SCRYPT_LOG2_N) {
    if (crypto.subtle === undefined) {
        const vault = { seal: async (_, value) => value, open: async (_, value) => value, rowKey: async (_, name) => name };
        return { vault, row: { kind: 'browser' } };
    }`,
    browser,
  ],
  ['C09', '*', 'if (version !== expectedVersion && !isFresh) {', 'if (false) {', browser],
  ['J03', '*', 'this.#channel.onmessage = () => this.#notify();', '', browser],
  ['J03', '*', '/connection`,', '/connection/` + Math.random(),', browser],
  ['J11', '*', 'body = cipher.update(value);', 'body = (cipher.update(value), value);', stores],
  // Calls.
  [
    'M01',
    '*',
    "this.effects.push({ kind: 'ring', callId, from, media });",
    "this.effects.push({ kind: 'ring', callId, from, media });\n        this.#accept(media);",
    calls,
  ],
  ['M01', '*', 'this.#answer(theirs, ours.media);', 'this.#answer(theirs, media);', glare],
];
