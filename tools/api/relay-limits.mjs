// Every refusal, limit and code of the relay in one table: packages/relay/api/limits.md.
//
// Numbers, names, ranges and defaults come from the code; what a code means, and what to do, from the tables of
// spec/13-relay.md. A code without a row there is a fault.
import { readFileSync } from 'node:fs';

const CHAPTER = 'spec/13-relay.md';
const LIMITS = 'packages/protocol/src/limits.ts';
const RELAY = 'packages/relay/src/';

/** Limits that no option moves: where each stands, its name there, what it bounds, and what happens beyond it. */
const FIXED = [
  [LIMITS, 'MAX_FRAME_BYTES', 'bytes of one frame', 'closed `TOO_BIG`'],
  [LIMITS, 'MAX_FRAME_ITEMS', 'items of one frame', 'closed `BAD_FRAME`'],
  [LIMITS, 'MAX_ENVELOPE_BYTES', 'bytes of one body', '`TOO_LARGE`'],
  [LIMITS, 'MAX_SEND_PARTS', 'devices of one send', 'closed `BAD_FRAME`'],
  [LIMITS, 'MAX_ACK_EXTRA', 'numbers out of turn in one acknowledgement', 'closed `BAD_FRAME`'],
  [LIMITS, 'MAX_MANY_RECIPIENTS', 'recipients of one message to many', 'closed `BAD_FRAME`'],
  [LIMITS, 'MAX_MANY_PARTS', 'devices of all its recipients', '`TOO_LARGE`'],
  [LIMITS, 'MAX_MANY_BYTES', 'bytes it may become, all devices together', '`TOO_LARGE`'],
  [
    LIMITS,
    'MAX_PREKEYS_PER_UPLOAD',
    'one-time prekeys of a kind in one upload',
    'closed `BAD_FRAME`',
  ],
  [
    `${RELAY}store/port.ts`,
    'PREKEYS_STORED_MAX',
    'one-time prekeys of a kind of one device',
    '`TOO_LARGE`',
  ],
  [LIMITS, 'MAX_RECORD_BYTES', 'bytes of the value of a record', 'closed `BAD_FRAME`'],
  [LIMITS, 'MAX_RENDEZVOUS_BYTES', 'bytes of one message in a rendezvous', 'closed `BAD_FRAME`'],
  [`${RELAY}service/rendezvous.ts`, 'SLOTS_MAX', 'rendezvous slots at a time', '`BUSY`'],
  [
    LIMITS,
    'MAX_USER_TICKET_CHARS',
    'characters of a ticket of the application',
    'closed `BAD_FRAME`',
  ],
  [
    `${RELAY}protocol/connection.ts`,
    'CHALLENGE_MAX_MS',
    'milliseconds to answer a challenge',
    'closed `UNAUTHORISED`',
  ],
  [
    `${RELAY}protocol/connection.ts`,
    'WORK_MAX_MS',
    'the same, when work was demanded',
    'closed `UNAUTHORISED`',
  ],
  [
    `${RELAY}protocol/connection.ts`,
    'RENDEZVOUS_MAX_MS',
    'milliseconds in a rendezvous',
    'closed `UNAUTHORISED`',
  ],
  [
    `${RELAY}protocol/authorise.ts`,
    'LINK_GRANT_MAX_SECONDS',
    'seconds a link grant may reach ahead',
    '`REFUSED`',
  ],
  [
    `${RELAY}transport/port.ts`,
    'IDLE_SECONDS_MAX',
    'seconds without a sign of life',
    'the socket is cut',
  ],
  [`${RELAY}store/group-commit.ts`, 'QUEUE_PARTS_MAX', 'changes that wait for the disk', '`BUSY`'],
  [`${RELAY}store/group-commit.ts`, 'QUEUE_BYTES_MAX', 'the same in bytes', '`BUSY`'],
  [
    `${RELAY}store/group-commit.ts`,
    'COMMIT_HANGS_MS',
    'milliseconds of one commit, then nothing more waits behind it',
    '`BUSY`',
  ],
  [
    `${RELAY}service/uploads.ts`,
    'UPLOADS_MAX',
    'uploads of blobs at a time, in the whole relay',
    '503 `BUSY`',
  ],
  [`${RELAY}service/uploads.ts`, 'DOWNLOADS_MAX', 'downloads at a time', '503 `BUSY`'],
  [
    `${RELAY}service/blobs.ts`,
    'WRITE_TICKET_SECONDS',
    'seconds a ticket for an upload holds',
    '401 `TICKET`',
  ],
  [
    `${RELAY}service/blobs.ts`,
    'READ_TICKET_SECONDS',
    'seconds a ticket for a download holds',
    '401 `TICKET`',
  ],
  [
    `${RELAY}admin/listener.ts`,
    'BODY_BYTES_MAX',
    'bytes of a question of the operator',
    '400 `ADMIN_BODY`',
  ],
];

/** The table, or throws with everything that is missing. */
export async function relayLimits(root) {
  const { CLOSE_CODES, RELAY_CODES } = await import(
    `${root}packages/protocol/dist/envelope/index.js`
  );
  const { DEFAULT_CONFIG } = await import(`${root}packages/relay/dist/config.js`);
  const options = await import(`${root}packages/relay/dist/config/options.js`);
  const chapter = readFileSync(`${root}${CHAPTER}`, 'utf8');
  const rows = new Map(
    [...chapter.matchAll(/^\| `?([A-Z_]{3,}|\d{4})`?[^|]*\|(.*)\|$/gm)].map(([, name, rest]) => [
      name,
      rest.split('|').map((cell) => cell.trim()),
    ]),
  );
  const missing = [];
  const cellsOf = (name) => {
    const cells = rows.get(String(name));
    if (cells === undefined) missing.push(name);
    return cells ?? [];
  };
  const sourceOf = (file) => readFileSync(`${root}${file}`, 'utf8');
  const lines = [];
  const add = (name, kind, value, meaning, next) =>
    lines.push(`| \`${name}\` | ${kind} | ${value} | ${meaning} | ${next} |`);

  for (const [name, number] of Object.entries(RELAY_CODES)) {
    const [written, meaning = '', repeat = ''] = cellsOf(name);
    if (written !== undefined && Number(written) !== number) missing.push(`${name} = ${number}`);
    add(name, 'answer', number, meaning, repeat === '' ? '' : `repeat: ${repeat}`);
  }
  for (const [name, number] of Object.entries(CLOSE_CODES)) {
    const [reason = ''] = cellsOf(number);
    add(name, 'close', number, reason, 'connect again, with backoff');
  }
  for (const [status, code, meaning, next] of httpCodes(
    chapter,
    sourceOf(`${RELAY}routes/blobs.ts`),
    missing,
  )) {
    add(code, 'HTTP', status, meaning, next);
  }
  const admin = sourceOf(`${RELAY}admin/listener.ts`) + sourceOf(`${RELAY}admin/routes.ts`);
  const answers = new Map();
  for (const [, status, code, hint] of admin.matchAll(
    /failed\(\s*(\d{3}),\s*'(ADMIN_\w+)',\s*'([^']*)'/g,
  )) {
    answers.set(code, { status, hints: new Set([...(answers.get(code)?.hints ?? []), hint]) });
  }
  for (const [code, { status, hints }] of answers) {
    if (!chapter.includes(`\`${code}\``)) missing.push(code);
    add(
      code,
      'operator',
      status,
      'a question of the operator that was not answered',
      [...hints].join('; '),
    );
  }
  const errors = sourceOf(`${RELAY}errors.ts`);
  for (const [, name] of errors.matchAll(/'(RELAY_[A-Z_]+)'/g)) {
    const [when = '', next = ''] = cellsOf(name);
    add(name, 'start', name === 'RELAY_CONFIG' ? 'exit 2' : 'exit 1', when, next);
  }
  for (const name of options.QUOTA_KEYS) {
    const { burst, perSecond } = DEFAULT_CONFIG.quotas[name];
    const rate = `${burst}, then ${Number(perSecond.toPrecision(3))} /s`;
    add(
      `quotas.${options.snakeCase(name)}`,
      'budget',
      rate,
      options.QUOTA_ABOUT[name],
      '`RATE_LIMITED`',
    );
  }
  for (const key of options.OPTION_KEYS) {
    const { kind, about } = options.OPTIONS[key];
    if (kind.type !== 'number') continue;
    const value = DEFAULT_CONFIG[key];
    add(options.snakeCase(key), 'option', value ?? 'off', about, `${kind.low} to ${kind.high}`);
  }
  for (const [file, name, about, beyond] of FIXED) {
    add(name, 'fixed', constant(sourceOf(file), name, missing), about, beyond);
  }
  if (missing.length > 0) {
    throw new Error(`${CHAPTER} has no table row, or another number, for ${missing.join(', ')}`);
  }
  return `# Refusals, limits and codes of the relay

Generated by \`npm run api\` from the code and from the tables of [chapter 13](../../../${CHAPTER}). An answer
refuses one request, a close ends one socket, HTTP is what the route of blobs says in \`Qasid-Code\` with this status, an
operator's code is \`error\` of the admin listener, a start code keeps the relay from running, a budget refills with time, an
option is a number in the configuration, and a fixed limit is one that no option moves.

| Name | Kind | Value | Meaning | What to do, or the range |
|---|---|---|---|---|
${lines.join('\n')}
`;
}

/** Status, code, meaning and next step of every refusal of the route of blobs: as it sends them, and as chapter 13 §14.2 says. */
function httpCodes(chapter, route, missing) {
  const sent = new Set();
  for (const [, status, code] of route.matchAll(/(\d{3}),(?: code:)? '([A-Z_]+)'/g))
    sent.add(`${status} ${code}`);
  const nextSteps = new Map(
    [...route.matchAll(/^ {2}([A-Z_]+): '([^']*)',$/gm)].map(([, code, next]) => [code, next]),
  );
  const told = [];
  for (const [, status, codes, meaning] of chapter.matchAll(
    /^\| (\d{3}) \| (`[^|]*`) \| (.*) \|$/gm,
  )) {
    for (const [, code] of codes.matchAll(/`([A-Z_]+)`/g)) {
      told.push([status, code, meaning, nextSteps.get(code) ?? '']);
      if (!sent.delete(`${status} ${code}`))
        missing.push(`HTTP ${status} ${code}, which nothing sends`);
    }
  }
  missing.push(...sent);
  return told;
}

/** The number a constant has in its source: digits, and products of them. */
function constant(source, name, missing) {
  const [, text = ''] = new RegExp(`const ${name}(?:: number)? = ([\\d_ *]+);`).exec(source) ?? [];
  if (text === '') missing.push(name);
  return text
    .replaceAll('_', '')
    .split('*')
    .reduce((product, factor) => product * Number(factor), 1);
}
