// ATK-A11: what holds secrets shows none of them when it is printed, logged or put into JSON.
import { inspect } from 'node:util';
import t from 'tap';
import { toHex, utf8 } from '#src/bytes.js';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { QasidError } from '#src/errors.js';
import { createSenderKey, decodeSenderKeyRecord, encodeSenderKeyRecord } from '#src/sender-keys.js';
import { decodeSessionRecord, encodeSessionRecord } from '#src/session-record.js';
import { makeParty, NOW_MS, type Party } from '../support/party.js';

/** Every array of 16 bytes or more that `value` holds, at any depth, getters included. */
function arraysIn(value: unknown, seen = new Set<unknown>()): Uint8Array[] {
  if (value instanceof Uint8Array) return value.length >= 16 ? [value] : [];
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  const prototype = Object.getPrototypeOf(value) as object | null;
  const getters =
    prototype === null || prototype === Object.prototype || Array.isArray(value)
      ? []
      : Object.entries(Object.getOwnPropertyDescriptors(prototype))
          .filter(([, property]) => property.get !== undefined)
          .map(([name]) => name);
  return [...Object.keys(value), ...getters].flatMap((name) =>
    arraysIn((value as Record<string, unknown>)[name], seen),
  );
}

/** Whether bytes 1 to 6 of `secret` appear in a text in one of the ways bytes are written. */
function shows(text: string, secret: Uint8Array): boolean {
  // inspect() pads numbers to columns and breaks lines.
  const dense = text.replace(/\s+/g, '');
  return traces(secret).some((trace) => dense.includes(trace));
}

function traces(secret: Uint8Array): string[] {
  const run = [...secret.subarray(1, 7)];
  return [
    run.join(','),
    run.map((byte, index) => `"${index + 1}":${byte}`).join(','),
    toHex(secret.subarray(1, 7)),
    Buffer.from(secret.subarray(0, 12)).toString('base64'),
  ];
}

function shown(value: object): string {
  const options = { depth: 20, maxArrayLength: null, showHidden: true } as const;
  let json = '';
  try {
    json = JSON.stringify(value);
  } catch {
    // Not representable is not shown.
  }
  return [json, inspect(value, options), String(value)].join('\n');
}

async function exchange(alice: Party, bob: Party): Promise<void> {
  const bundle = await bob.bundle();
  const [first] = await alice.operations.encrypt(
    [{ remote: bob.address, plaintext: utf8('salaam'), bundle }],
    NOW_MS,
  );
  await bob.operations.decrypt(alice.address, first!.type, first!.bytes, NOW_MS);
  const [answer] = await bob.operations.encrypt(
    [{ remote: alice.address, plaintext: utf8('wa alaykum') }],
    NOW_MS,
  );
  await alice.operations.decrypt(bob.address, answer!.type, answer!.bytes, NOW_MS);
}

t.test('ATK-A11 records, stores and operations show nothing of what they hold', async (t) => {
  const alice = makeParty(crypto);
  const bob = makeParty(crypto);
  await exchange(alice, bob);
  const stored = await bob.store.loadSession(alice.address);
  const record = decodeSessionRecord(stored!.record);
  const secrets = [
    ...arraysIn(record),
    ...arraysIn(record.current!.spqr.state),
    bob.identity.secret,
  ];
  t.ok(secrets.length > 10, `${secrets.length} arrays`);
  const group = decodeSenderKeyRecord(encodeSenderKeyRecord(createSenderKey(crypto)));
  const fresh = createSenderKey(crypto);
  secrets.push(...arraysIn(group), ...arraysIn(fresh));
  const holders: Record<string, object> = {
    record,
    'a record in a list': [record],
    'sender key record': group,
    'fresh sender key': fresh,
    store: bob.store,
    operations: bob.operations,
  };
  for (const [name, holder] of Object.entries(holders)) {
    const text = shown(holder);
    const found = secrets.filter((secret) => shows(text, secret));
    t.equal(found.length, 0, name);
  }
  t.strictSame(decodeSessionRecord(encodeSessionRecord(record)).archived, record.archived);
});

t.test('ATK-A11 the walk and the traces do find what is shown', async (t) => {
  const secret = crypto.randomBytes(32);
  t.equal(arraysIn({ a: [{ b: secret }] }).length, 1);
  for (const text of [
    JSON.stringify({ secret }),
    inspect(secret),
    toHex(secret),
    String(secret),
    inspect(Buffer.from(secret)),
    Buffer.from(secret).toString('base64'),
  ]) {
    t.ok(shows(text, secret), text.slice(0, 24));
  }
});

t.test('ATK-A11 an error says nothing of keys, text or names', async (t) => {
  const alice = makeParty(crypto);
  const bob = makeParty(crypto);
  await exchange(alice, bob);
  const plaintext = utf8('the ransom is under the old bridge');
  const [sent] = await alice.operations.encrypt([{ remote: bob.address, plaintext }], NOW_MS);
  const forged = sent!.bytes.slice();
  forged[forged.length - 9]! ^= 1;
  const stranger = makeParty(crypto);
  const runs: (() => Promise<unknown>)[] = [
    () => bob.operations.decrypt(alice.address, 2, forged, NOW_MS),
    () => bob.operations.decrypt(alice.address, 3, sent!.bytes, NOW_MS),
    () => bob.operations.decrypt(stranger.address, 2, sent!.bytes, NOW_MS),
    () => bob.operations.decrypt(alice.address, 2, new Uint8Array(3), NOW_MS),
    () => bob.operations.encrypt([{ remote: stranger.address, plaintext }], NOW_MS),
    () => alice.operations.encrypt([], NOW_MS),
    async () => {
      await bob.operations.decrypt(alice.address, 2, sent!.bytes, NOW_MS);
      await bob.operations.decrypt(alice.address, 2, sent!.bytes, NOW_MS);
    },
    async () => {
      const bundle = await stranger.bundle();
      const identityKey = bob.identity.public;
      const target = { remote: bob.address, plaintext, bundle: { ...bundle, identityKey } };
      await alice.operations.encrypt([target], NOW_MS);
    },
  ];
  const hidden = [alice.address.name, bob.address.name, stranger.address.name, 'ransom'];
  const secrets = [alice.identity.secret, bob.identity.secret, sent!.bytes, plaintext];
  for (const [index, run] of runs.entries()) {
    try {
      await run();
      t.fail(`run ${index} did not fail`);
    } catch (error) {
      if (!(error instanceof QasidError)) throw error;
      const text = `${error.message}\n${JSON.stringify(error)}\n${error.cause}`;
      t.notOk(
        hidden.some((word) => text.includes(word)),
        `${index}: ${error.code}`,
      );
      const traced = secrets.some((secret) => shows(text, secret));
      t.notOk(traced, `${index}: no bytes`);
    }
  }
});
