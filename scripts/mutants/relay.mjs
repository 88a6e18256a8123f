// The defences of the relay, one by one: every row of priority 0 that a relay answers. See ../mutants.mjs.
//
// A test is named by file and by what stands in its name, level by level, so that a mutant takes seconds.

const socket = 'routes/socket.test.js';
const anonymous = 'routes/anonymous.test.js';
const tokens = 'routes/tokens.test.js';
const bus = 'routes/bus.test.js';
const contract = 'store/contract.test.js';
const relay = 'e2e/relay.test.js';
const accounts = 'e2e/accounts.test.js';
const blobs = 'e2e/blobs.test.js';
const rights = 'e2e/blob-rights.test.js';
const rules = 'protocol/rules.test.js';
const privacy = 'e2e/log-privacy.test.js';
const admission = 'e2e/admission.test.js';
const durability = 'e2e/durability.test.js';

/** The store most relays run on, and those of its tests that name the row. */
const sqlite = (row) => ['^SQLite on this thread$', `ATK-${row}`];
const memory = (row) => ['^memory$', `ATK-${row}`];
/** Suites that run once per transport. */
const uws = (row) => ['uws', `ATK-${row}`];
const only = (row) => [`ATK-${row}`];

export const MUTANTS = [
  // A version nobody here speaks.
  [
    'B02',
    'protocol/authorise.js',
    'return version === RELAY_PROTOCOL_VERSION;',
    'return true;',
    socket,
    only('B02'),
  ],
  // Stocks of one-time prekeys.
  [
    'B05',
    'service/prekeys.js',
    'budgets.prekeysPerTarget.take(target, 1, nowMs) > 0;',
    'false;',
    socket,
    only('B05'),
  ],
  [
    'B05',
    'service/prekeys.js',
    "if (wait > 0)\n            return refused('RATE_LIMITED', wait);",
    '',
    socket,
    only('B05'),
  ],
  [
    'B05',
    'service/delivery.js',
    "this.tell({ kind: 'prekeysLow', oneTime, kem });",
    ';',
    socket,
    only('B05'),
  ],
  [
    'B05',
    'store/sqlite-engine.js',
    'const isBudgeted = !write.lastResortOnly;',
    'const isBudgeted = true;',
    contract,
    sqlite('B05'),
  ],
  // Logs, metrics, pages.
  [
    'D08',
    'observe/log.js',
    'logger[at](allowed(fields), event);',
    'logger[at](fields, event);',
    privacy,
    only('D08'),
  ],
  [
    'D08',
    'observe/log.js',
    "if (typeof value === 'string' && CODE.test(value))",
    "if (typeof value === 'string')",
    privacy,
    only('D08'),
  ],
  [
    'D08',
    'observe/listener.js',
    "else if (path === '/metrics') {",
    "else if (path.startsWith('/metrics')) {",
    'e2e/watch.test.js',
    only('D08'),
  ],
  [
    'J06',
    'routes/socket.js',
    "log.write('trace', 'REQUEST', { code: op.kind });",
    "log.write('trace', 'REQUEST ' + JSON.stringify(op));",
    privacy,
    only('D08 ATK-J06'),
  ],
  // Enumeration.
  [
    'D11',
    'service/accounts.js',
    'budgets.lookups.take(String(who.mailbox), 1, nowMs) ||',
    '',
    socket,
    only('D11'),
  ],
  [
    'D11',
    'service/accounts.js',
    "budgets.lookupsTotal.take('', 1, nowMs);",
    '0;',
    socket,
    only('D11'),
  ],
  [
    'D11',
    'service/accounts.js',
    'const probing = username === undefined ? undefined : this.#limitLookup(who);',
    'const probing = undefined;',
    accounts,
    only('D11'),
  ],
  [
    'D11',
    'service/anonymous.js',
    'const { isThere, row } = await store.token(id);',
    'const { isThere, row } = await store.token(id);\n        if (!isThere) return undefined;',
    anonymous,
    only('D11'),
  ],
  // Lists of devices.
  [
    'B13',
    'protocol/authorise.js',
    'return verifyDeviceList(verifier, signed,',
    'return verifyDeviceList({ ...verifier, xeddsaVerify: () => true }, signed,',
    relay,
    uws('G01 ATK-B13'),
  ],
  [
    'G01',
    'protocol/authorise.js',
    'if (!isLinkGrant(verifier, identityKey, devices, grant))\n        return undefined;',
    '',
    accounts,
    only('G01'),
  ],
  [
    'G01',
    'protocol/authorise.js',
    'if (leftSeconds < 0 || leftSeconds > LINK_GRANT_MAX_SECONDS)',
    'if (false)',
    accounts,
    only('G01'),
  ],
  [
    'G05',
    'protocol/authorise.js',
    'const input = linkSigningInput(verifier, { ...challenge, account, device, devices });\n    return verifier.ed25519Verify(entry.authKey, input, request.signature) ? list : undefined;',
    'return list;',
    accounts,
    only('G01 ATK-G05'),
  ],
  [
    'G04',
    'store/account-rules.js',
    'if (!isNextVersion(known.version, write))',
    'if (false)',
    contract,
    sqlite('G04'),
  ],
  [
    'G04',
    'store/account-rules.js',
    'if (!isLinked && write.version === known.version + 1)',
    'if (false)',
    'store/accounts.test.js',
  ],
  // What was not acknowledged comes again.
  [
    'I03',
    'service/delivery.js',
    'const attempt = this.#attempts.get(seq) ?? 0;',
    'const attempt = 0;',
    relay,
    uws('I03'),
  ],
  [
    'I03',
    'service/delivery.js',
    'const known = Math.min(through, this.#highestSent());',
    'const known = Math.max(through, this.#highestSent());',
    relay,
    uws('I03'),
  ],
  // Floods.
  [
    'I05',
    'store/mailbox-memory.js',
    'return known.envelopes < quota.envelopesMax && known.bytes + bytes <= quota.bytesMax;',
    'return true;',
    contract,
    sqlite('I05'),
  ],
  [
    'I05',
    'store/mailbox-shares.js',
    'return !isFilled(more, quota, SHARE);',
    'return true;',
    contract,
    sqlite('I05'),
  ],
  [
    'I05',
    'store/mailbox-shares.js',
    'return !isFilled(more, quota, SHARE);',
    'return true;',
    contract,
    memory('I05'),
  ],
  // Who somebody is.
  [
    'I06',
    'protocol/authorise.js',
    'return verifier.ed25519Verify(authKey, input, request.signature);',
    'return true;',
    relay,
    uws('I06'),
  ],
  [
    'I06',
    'protocol/connection.js',
    'if (nowMs - state.issuedAtMs > (state.workBits ? WORK_MAX_MS : CHALLENGE_MAX_MS)) {',
    'if (false) {',
    rules,
    only('I06'),
  ],
  [
    'I06',
    'protocol/connection.js',
    "return isProof || op.kind === 'anonymous'",
    'return false',
    rules,
    only('I06'),
  ],
  ['I06', 'protocol/connection.js', 'if (isWithToken(op))', 'if (false)', anonymous, only('I06')],
  [
    'I06',
    'protocol/connection.js',
    "if (isProof)\n                return { kind: 'close', reason: 'UNAUTHORISED' };",
    '',
    anonymous,
    only('I06'),
  ],
  [
    'I06',
    'protocol/connection.js',
    "return op.kind === 'auth' && isSame(state, op)",
    "return op.kind === 'auth'",
    rules,
    only('I06'),
  ],
  ['I06', 'service/anonymous.js', 'crypto.equal(verifier, row.verifier),', '', tokens, only('I06')],
  [
    'I06',
    'service/anonymous.js',
    'crypto.equal(row.account, dest) !== row.isInlet,',
    '',
    tokens,
    only('I06'),
  ],
  ['I06', 'service/tickets.js', 'audience: this.#audience,', '', admission, only('I06')],
  [
    'I06',
    'service/accounts.js',
    'const isGood = isDeletion(crypto, { relayId, nonce }, op, identityKey);',
    'const isGood = true;',
    accounts,
    only('I06'),
  ],
  [
    'I06',
    'protocol/tickets.js',
    'if (!isEqual(mac, bytes.subarray(MACED_BYTES)))',
    'if (false)',
    rights,
    uws('I06'),
  ],
  [
    'I06',
    'protocol/tickets.js',
    'if (wanted.id && !samePublicBytes(ticket.id, wanted.id))',
    'if (false)',
    rights,
    uws('I06'),
  ],
  // One-time means once.
  [
    'I07',
    'store/sqlite-prekeys.js',
    "'UPDATE prekey_cur SET next = next + 1 WHERE mb = ? AND kind = ? AND next < n RETURNING page, next - 1 AS at, reclen'",
    "'SELECT page, next AS at, reclen FROM prekey_cur WHERE mb = ? AND kind = ? AND next < n'",
    contract,
    sqlite('I07'),
  ],
  [
    'I07',
    'store/sqlite-prekeys.js',
    'if (known.has(id))\n                return false;',
    '',
    contract,
    sqlite('I07'),
  ],
  [
    'I08',
    'store/sqlite-engine.js',
    'if (fault !== undefined)\n            return fault;',
    '',
    contract,
    sqlite('I08'),
  ],
  [
    'I08',
    'protocol/addressing.js',
    'else if (part.registrationId !== registrationId)',
    'else if (false)',
    contract,
    sqlite('I08'),
  ],
  // Exhaustion.
  [
    'I10',
    'service/delivery.js',
    'return this.#sink.bufferedBytes < this.#context.config.outBufferBytes;',
    'return true;',
    socket,
    only('I10'),
  ],
  [
    'I10',
    'service/delivery.js',
    'return this.#unacked.size < windowEnvelopes && this.#unackedBytes < windowBytes;',
    'return true;',
    socket,
    only('I10'),
  ],
  ['I10', 'routes/socket.js', "if (verdict === 'over') {", 'if (false) {', socket, only('I10')],
  [
    'I10',
    'service/mailboxes.js',
    "return writer.isFull ? refused('BUSY', 500) : undefined;",
    'return undefined;',
    'routes/slow-disk.test.js',
  ],
  [
    'I10',
    'service/context.js',
    "return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;",
    'return undefined;',
    socket,
    only('I10'),
  ],
  [
    'I10',
    'service/many.js',
    'if (parts > MAX_MANY_PARTS || parts * viewBytes > MAX_MANY_BYTES)',
    'if (false)',
    'routes/many.test.js',
    only('I10'),
  ],
  [
    'I10',
    'store/mailbox-memory.js',
    'aging.length - this.#agingStart > this.#repeatsMax;',
    'false;',
    'store/mailbox-memory.test.js',
  ],
  [
    'I10',
    'service/blobs.js',
    'if (isUpload && (await disk.isLow()))',
    'if (false)',
    blobs,
    ['uws', 'ATK-I10 a disk that is nearly full'],
  ],
  // What comes in is data.
  ['I11', 'blobs/files.js', 'if (!NAME.test(name))', 'if (false)', 'blobs/contract.test.js'],
  [
    'I11',
    'routes/blobs.js',
    'return bytes.length === 32 && isCanonical ? bytes : undefined;',
    'return bytes;',
    rights,
    uws('I11'),
  ],
  ['J05', 'routes/socket.js', 'if (isFrameError(error)) {', 'if (false) {', 'fuzz/frames.test.js'],
  // Ids belong to their sender.
  [
    'I12',
    'store/sqlite-engine.js',
    'if (seen.sender !== sender && seen.sender !== 0)',
    'if (false)',
    contract,
    sqlite('I12'),
  ],
  [
    'I12',
    'service/anonymous.js',
    'const hash = crypto.sha256(this.#scopeKey, tokenId, ...inner);',
    'const hash = crypto.sha256(this.#scopeKey, tokenId);',
    tokens,
    only('I12'),
  ],
  [
    'I12',
    'service/anonymous.js',
    'const hash = crypto.sha256(this.#scopeKey, tokenId, ...inner);',
    'const hash = crypto.sha256(this.#scopeKey, ...inner);',
    tokens,
    only('I12'),
  ],
  // Nothing confirmed is lost.
  [
    'I13',
    'service/delivery.js',
    'if (previousSeq > this.#sentThrough && previousSeq > this.#readThrough) {',
    'if (false) {',
    bus,
    only('I13'),
  ],
  [
    'I13',
    'service/arrival-check.js',
    'if (this.#presence.get(mailbox)?.missed(seq))',
    'if (false)',
    bus,
    only('I13'),
  ],
  [
    'I13',
    'store/sqlite-open.js',
    "const synchronous = options.synchronous ?? 'FULL';",
    "const synchronous = 'NORMAL';",
    durability,
    only('I13'),
  ],
  [
    'I13',
    'store/sqlite-engine.js',
    'this.#sql.reserve.run(this.#reservedSeq);',
    ';',
    'routes/eager-push.test.js',
    only('I13'),
  ],
  // The operator's own door.
  [
    'I15',
    'admin/listener.js',
    'if (request.headers.origin !== undefined)\n            return false;',
    '',
    admission,
    only('I15'),
  ],
  [
    'I15',
    'admin/listener.js',
    "return isSameText(request.headers.authorization ?? '',",
    "return true || isSameText('',",
    admission,
    only('I15'),
  ],
  [
    'I15',
    'observe/listener.js',
    "if (request.method !== 'GET')",
    'if (false)',
    'e2e/watch.test.js',
    only('D08 ATK-I15'),
  ],
];
