// ATK-J05, ATK-J09: names and lengths chosen to hurt a JavaScript program.
import t from 'tap';
import { concatBytes, utf8 } from '#src/bytes.js';
import { nobleProvider as crypto } from '#src/crypto/noble.js';
import { decodeFrame } from '#src/envelope/index.js';
import { decodeEnvelope } from '#src/envelope/envelope.js';
import { decodeDeviceList } from '#src/envelope/devices.js';
import { QasidError } from '#src/errors.js';
import { decodeIdentityKeyPair } from '#src/identity.js';
import { decodePreKeyRecord, decodeSignedPreKeyRecord } from '#src/prekeys.js';
import { decodeSenderKeyRecord } from '#src/sender-keys.js';
import { decodeSessionRecord } from '#src/session-record.js';
import { decodeSpqrState } from '#src/spqr/index.js';
import { decodePreKeySignalMessage, decodeSignalMessage } from '#src/wire/messages.js';
import { makeParty, NOW_MS, type Party } from '../support/party.js';

async function say(from: Party, to: Party, text: string, first: boolean): Promise<string> {
  const bundle = first ? await to.bundle() : undefined;
  const target = { remote: to.address, plaintext: utf8(text), bundle };
  const [sent] = await from.operations.encrypt([target], NOW_MS);
  const got = await to.operations.decrypt(from.address, sent!.type, sent!.bytes, NOW_MS);
  return new TextDecoder().decode(got.plaintext);
}

t.test(
  'ATK-J05 account names that are properties of every object are names like others',
  async (t) => {
    const before = Reflect.ownKeys(Object.prototype).length;
    const bob = makeParty(crypto);
    const names = [
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '',
      '.',
      'a.1',
      '\u0000',
    ];
    for (const name of names) {
      const mallory = makeParty(crypto, { name });
      t.equal(
        await bob.store.loadSession(mallory.address),
        undefined,
        `${JSON.stringify(name)} is new`,
      );
      t.equal(await say(mallory, bob, `from ${name}`, true), `from ${name}`);
      t.equal(await say(bob, mallory, 'back', false), 'back');
    }
    t.equal(Reflect.ownKeys(Object.prototype).length, before, 'no prototype was touched');
  },
);

t.test(
  'ATK-J09 names are opaque: what looks alike or normalises alike is not the same',
  async (t) => {
    const bob = makeParty(crypto);
    const looksAlike = [
      'caf\u00e9',
      'cafe\u0301',
      'CAF\u00c9',
      '\u0441af\u00e9',
      'caf\u00e9\u200b',
    ];
    for (const name of looksAlike) {
      const party = makeParty(crypto, { name });
      const stored = await bob.store.loadIdentity(name);
      t.equal(stored, undefined, 'nobody has this name yet');
      t.equal(await say(party, bob, 'hello', true), 'hello');
      t.strictSame(await bob.store.loadIdentity(name), party.identity.public);
    }
  },
);

t.test('ATK-J05 a huge declared length costs nothing and is a typed error', async (t) => {
  const huge = [
    new Uint8Array([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    new Uint8Array([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    concatBytes(new Uint8Array([0x44, 0x0a, 0xfe, 0xff, 0xff, 0xff, 0x07]), new Uint8Array(64)),
    concatBytes(new Uint8Array([0x0a, 0x80, 0x80, 0x80, 0x80, 0x04]), new Uint8Array(64)),
  ];
  const decoders: Record<string, (bytes: Uint8Array) => unknown> = {
    decodeFrame,
    decodeEnvelope,
    decodeDeviceList,
    decodeIdentityKeyPair,
    decodePreKeyRecord,
    decodeSignedPreKeyRecord,
    decodeSenderKeyRecord,
    decodeSessionRecord,
    decodeSpqrState,
    decodeSignalMessage,
    decodePreKeySignalMessage,
  };
  const before = process.memoryUsage();
  for (const [name, decode] of Object.entries(decoders)) {
    for (const bytes of huge) {
      try {
        decode(bytes);
        t.fail(`${name} accepted a truncated message`);
      } catch (error) {
        if (!(error instanceof QasidError)) t.fail(`${name}: ${error}`);
      }
    }
    t.pass(name);
  }
  const after = process.memoryUsage();
  t.ok(
    after.arrayBuffers - before.arrayBuffers < 16 * 1024 * 1024,
    'no buffer of that size was made',
  );
});
