/** The same program on libsignal-client, on our façade, and on one of each. */
import * as original from '@signalapp/libsignal-client';
import * as facade from '@qasid/protocol/libsignal';
import OriginalSplit from '@signalapp/libsignal-client/dist/SealedSenderMultiRecipientMessage.js';
import t from 'tap';
import { device, emptyDisk, failure, type Device, type Library } from './program.js';

const ours = facade as unknown as Library;
const LIBRARIES: Record<string, Library> = { original, facade: ours };
const ALICE = '9d0652a3-dcc3-4d11-975f-74d61598733f';
const BOB = '796abedb-ca4e-4f18-8803-1fde5b921f9f';
const CHANNEL = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';

const pairs = Object.keys(LIBRARIES).flatMap((a) => Object.keys(LIBRARIES).map((b) => [a, b]));

function pair(a: string, b: string): [Device, Device] {
  const [one, other] = [LIBRARIES[a]!, LIBRARIES[b]!];
  return [device(one, ALICE, 1, emptyDisk(one, 5)), device(other, BOB, 1, emptyDisk(other, 7))];
}

for (const [a, b] of pairs) {
  t.test(`${a} and ${b}: sessions, groups, sealed sender`, async (t) => {
    const [alice, bob] = pair(a!, b!);
    await alice.start(BOB, await bob.publish(31));
    for (const text of ['first', 'second']) {
      const { type, bytes } = await alice.send(BOB, text);
      t.equal(type, 3);
      t.equal(await bob.receive(ALICE, type, bytes), text);
    }
    for (let i = 0; i < 40; i++) {
      const [from, to] = i % 2 ? [alice, bob] : [bob, alice];
      const late = await from.send(to.name, `late ${i}`);
      const { type, bytes } = await from.send(to.name, `message ${i}`);
      t.equal(type, 2);
      t.equal(await to.receive(from.name, type, bytes), `message ${i}`);
      t.equal(await to.receive(from.name, late.type, late.bytes), `late ${i}`);
    }
    // Groups, both ways.
    await bob.join(ALICE, await alice.distribution(CHANNEL));
    await alice.join(BOB, await bob.distribution(CHANNEL));
    for (let i = 0; i < 5; i++) {
      const skipped = await alice.groupSend(CHANNEL, `skipped ${i}`);
      const message = await alice.groupSend(CHANNEL, `to all ${i}`);
      t.equal(await bob.groupReceive(ALICE, message), `to all ${i}`);
      t.equal(await bob.groupReceive(ALICE, skipped), `skipped ${i}`);
      t.equal(await alice.groupReceive(BOB, await bob.groupSend(CHANNEL, `${i}`)), `${i}`);
    }
    // Sealed sender with certificates made by Alice's library.
    const { lib } = alice;
    const root = lib.PrivateKey.generate();
    const server = lib.PrivateKey.generate();
    const certificate = lib.SenderCertificate.new(
      ALICE,
      '+14155550100',
      1,
      (await alice.identities.getIdentityKeyPair()).publicKey,
      1000,
      lib.ServerCertificate.new(1, server.getPublicKey(), root),
      server,
    ).serialize();
    const rootKey = root.getPublicKey().serialize();
    const sealed = await alice.seal(BOB, 'sealed', certificate);
    t.same(await bob.unseal(sealed, rootKey, 1000), { text: 'sealed', sender: ALICE, device: 1 });
    const expired = await alice.seal(BOB, 'late', certificate);
    t.same(await failure(() => bob.unseal(expired, rootKey, 1001)), {
      name: 'LibSignalError',
      code: 0,
      message: 'invalid sealed sender message: trust root validation failed',
      operation: 'SealedSender_DecryptMessage',
    });
  });
}

t.test(
  'a device changes its library in mid-conversation, both ways, again and again',
  async (t) => {
    const [alice, bob] = pair('original', 'original');
    await alice.start(BOB, await bob.publish(3));
    const first = await alice.send(BOB, 'hello');
    await bob.receive(ALICE, first.type, first.bytes);
    const disks = { alice: alice.disk, bob: bob.disk };
    for (let i = 0; i < 30; i++) {
      // Both programs close; whoever opens the disks next is another library.
      const a = device(i % 2 ? original : ours, ALICE, 1, disks.alice);
      const b = device(i % 3 ? original : ours, BOB, 1, disks.bob);
      const lost = await a.send(BOB, 'lost for now');
      const there = await a.send(BOB, `there ${i}`);
      t.equal(await b.receive(ALICE, there.type, there.bytes), `there ${i}`);
      const back = await b.send(ALICE, `back ${i}`);
      t.equal(await a.receive(BOB, back.type, back.bytes), `back ${i}`);
      t.equal(await b.receive(ALICE, lost.type, lost.bytes), 'lost for now');
      for (const [address, bytes] of disks.alice.sessions) {
        t.same(
          facade.SessionRecord.deserialize(bytes).serialize(),
          Uint8Array.from(bytes),
          `${address} is written back byte for byte`,
        );
      }
    }
  },
);

t.test(
  'fan-out to 200 devices: sealed by one, split and opened by the other, and the reverse',
  async (t) => {
    for (const [sealer, opener] of [
      ['original', 'facade'],
      ['facade', 'original'],
    ]) {
      const lib = LIBRARIES[sealer!]!;
      const alice = device(lib, ALICE, 1, emptyDisk(lib, 5));
      const peers: { name: string; device: number }[] = [];
      const devices = new Map<string, Device>();
      for (let i = 0; peers.length < 200; i++) {
        const name = `796abedb-ca4e-4f18-8803-${i.toString(16).padStart(12, '0')}`;
        const other = LIBRARIES[opener!]!;
        const disk = emptyDisk(other, i + 1);
        const person = device(other, name, 1, disk);
        devices.set(name, person);
        for (let d = 1; d <= (i % 4 === 0 ? 3 : 1); d++) {
          const one = device(other, name, d, disk);
          await alice.start(name, await one.publish(d, false), d);
          peers.push({ name, device: d });
        }
      }
      const root = lib.PrivateKey.generate();
      const server = lib.PrivateKey.generate();
      const certificate = lib.SenderCertificate.new(
        ALICE,
        null,
        1,
        (await alice.identities.getIdentityKeyPair()).publicKey,
        1000,
        lib.ServerCertificate.new(1, server.getPublicKey(), root),
        server,
      ).serialize();
      await alice.distribution(CHANNEL);
      const { content, sent } = await alice.fanOut(peers, CHANNEL, 'to 200 devices', certificate, [
        'PNI:97d0652a-dcc3-4d11-975f-74d61598733f',
      ]);
      const split = new OriginalSplit(sent as Uint8Array<ArrayBuffer>);
      const oursSplit = new facade.SealedSenderMultiRecipientMessage(sent);
      const recipients = Object.entries(split.recipientsByServiceIdString());
      t.same(
        Object.keys(oursSplit.recipientsByServiceIdString()),
        recipients.map(([id]) => id),
      );
      t.same(oursSplit.excludedRecipientServiceIdStrings(), [
        'PNI:97d0652a-dcc3-4d11-975f-74d61598733f',
      ]);
      let opened = 0;
      for (const [id, recipient] of recipients) {
        const view = split.messageForRecipient(recipient);
        t.equal(Buffer.compare(oursSplit.messageForRecipient(id), view), 0, id);
        const got = await devices.get(id)!.openFanOut(view);
        if (Buffer.compare(got.content, content) !== 0 || got.type !== 7)
          t.fail(`${id} got other content`);
        if (got.hint !== 2 || got.group !== 'group' || got.sender !== ALICE)
          t.fail(`${id} got other fields`);
        opened += recipient.deviceIds.length;
      }
      t.ok(opened >= 200, `${sealer} to ${opener}: ${opened} devices`);
    }
  },
);

t.test('fingerprints, identifiers and small things agree', async (t) => {
  const keys = [original.PrivateKey.generate(), original.PrivateKey.generate()].map((key) =>
    key.getPublicKey().serialize(),
  );
  const made = Object.values(LIBRARIES).map((lib) => {
    const fingerprint = lib.Fingerprint.new(
      5200,
      2,
      Buffer.from('alice') as Uint8Array<ArrayBuffer>,
      lib.PublicKey.deserialize(keys[0]!),
      Buffer.from('bob') as Uint8Array<ArrayBuffer>,
      lib.PublicKey.deserialize(keys[1]!),
    );
    const pni = lib.ServiceId.parseFromServiceIdString('PNI:9D0652A3-dcc3-4d11-975f-74d61598733f');
    const address = lib.ProtocolAddress.new(pni, 3);
    return {
      digits: fingerprint.displayableFingerprint().toString(),
      scannable: Buffer.from(fingerprint.scannableFingerprint().toBuffer()).toString('hex'),
      log: `${pni}`,
      fixed: Buffer.from(pni.getServiceIdFixedWidthBinary()).toString('hex'),
      address: `${address}`,
      uuid: pni.getRawUuid(),
      isPni: pni instanceof lib.Pni,
      none: lib.ProtocolAddress.new('bob', 1).serviceId(),
      hkdf: Buffer.from(
        lib.hkdf(
          42,
          Buffer.from('ikm') as Uint8Array<ArrayBuffer>,
          Buffer.from('label') as Uint8Array<ArrayBuffer>,
          null,
        ),
      ).toString('hex'),
      username: Buffer.from(lib.usernames.hash('alice.42')).toString('hex'),
      types: lib.CiphertextMessageType.SenderKey,
    };
  });
  t.same(made[1], made[0]);
});

t.test('what fails there fails here, with the same code and words', async (t) => {
  const cases: Record<string, (lib: Library, alice: Device, bob: Device) => unknown> = {
    'public key: empty': (lib) => lib.PublicKey.deserialize(new Uint8Array(0)),
    'public key: type': (lib) => lib.PublicKey.deserialize(new Uint8Array(33)),
    'public key: short': (lib) => lib.PublicKey.deserialize(new Uint8Array([5, 1])),
    'private key: short': (lib) => lib.PrivateKey.deserialize(new Uint8Array(31)),
    'agreement with zero': (lib) =>
      lib.PrivateKey.generate().agree(lib.PublicKey.deserialize(new Uint8Array(33).fill(5, 0, 1))),
    'kem key: empty': (lib) => lib.KEMPublicKey.deserialize(new Uint8Array(0)),
    'kem key: type': (lib) => lib.KEMPublicKey.deserialize(new Uint8Array(1569).fill(10)),
    'kem key: short': (lib) => lib.KEMPublicKey.deserialize(new Uint8Array([8, 1])),
    'identity pair: empty': (lib) => lib.IdentityKeyPair.deserialize(new Uint8Array(0)),
    'identity pair: garbage': (lib) => lib.IdentityKeyPair.deserialize(new Uint8Array([255, 255])),
    'message: short': (lib) => lib.SignalMessage.deserialize(new Uint8Array(3)),
    'message: old': (lib) => lib.SignalMessage.deserialize(new Uint8Array(20).fill(0x23)),
    'message: new': (lib) => lib.SignalMessage.deserialize(new Uint8Array(20).fill(0x53)),
    'message: garbage': (lib) => lib.SignalMessage.deserialize(new Uint8Array(20).fill(0x44)),
    'prekey message: empty': (lib) => lib.PreKeySignalMessage.deserialize(new Uint8Array(0)),
    'prekey message: garbage': (lib) =>
      lib.PreKeySignalMessage.deserialize(new Uint8Array(20).fill(0x44)),
    'session record: garbage': (lib) => lib.SessionRecord.deserialize(new Uint8Array([255, 1])),
    'session record: no session': (lib) =>
      lib.SessionRecord.deserialize(new Uint8Array(0)).remoteRegistrationId(),
    'address: device 0': (lib) => lib.ProtocolAddress.new('alice', 0),
    'address: device 128': (lib) => lib.ProtocolAddress.new('alice', 128),
    'no session to send on': (_lib, alice) => alice.send(BOB, 'x'),
    'no session to receive on': async (_lib, alice, bob) => {
      await bob.start(ALICE, await alice.publish(9));
      const { bytes } = await bob.send(ALICE, 'x');
      const inner = bob.lib.PreKeySignalMessage.deserialize(bytes as Uint8Array<ArrayBuffer>);
      t.equal(inner.preKeyId(), 9);
      // A plain message without a session: the bytes of any message do.
      await alice.receive(BOB, 2, Buffer.from(`44${'00'.repeat(60)}`, 'hex'));
    },
    'bundle with a bad signature': async (_lib, alice, bob) => {
      const bundle = await bob.publish(4);
      bundle.signedPreKeySignature[0]! ^= 1;
      await alice.start(BOB, bundle);
    },
    'message twice': async (_lib, alice, bob) => {
      await alice.start(BOB, await bob.publish(4));
      const { type, bytes } = await alice.send(BOB, 'x');
      await bob.receive(ALICE, type, bytes);
      await bob.receive(ALICE, type, bytes);
    },
    'message with a bad MAC': async (_lib, alice, bob) => {
      await alice.start(BOB, await bob.publish(4));
      const { type, bytes } = await alice.send(BOB, 'x');
      const broken = Uint8Array.from(bytes);
      broken[200]! ^= 0;
      const inner = Buffer.from(broken);
      inner[inner.length - 1]! ^= 1;
      await bob.receive(ALICE, type, inner);
    },
    'plain message with a bad MAC': async (_lib, alice, bob) => {
      await alice.start(BOB, await bob.publish(4));
      const first = await alice.send(BOB, 'x');
      await bob.receive(ALICE, first.type, first.bytes);
      const { type, bytes } = await bob.send(ALICE, 'y');
      const broken = Uint8Array.from(bytes);
      broken[broken.length - 1]! ^= 1;
      await alice.receive(BOB, type, broken);
    },
    'prekey that is gone': async (_lib, alice, bob) => {
      await alice.start(BOB, await bob.publish(4));
      bob.disk.preKeys.clear();
      const { type, bytes } = await alice.send(BOB, 'x');
      await bob.receive(ALICE, type, bytes);
    },
    'untrusted identity': async (_lib, alice, bob) => {
      bob.disk.identities.set(`${ALICE}.1`, new Uint8Array(33).fill(5));
      await alice.start(BOB, await bob.publish(4));
      const { type, bytes } = await alice.send(BOB, 'x');
      await bob.receive(ALICE, type, bytes);
    },
    'group: no sender key': (_lib, alice) => alice.groupSend(CHANNEL, 'x'),
    'group: short message': (_lib, alice) => alice.groupReceive(BOB, new Uint8Array(10)),
    'group: twice': async (_lib, alice, bob) => {
      await bob.join(ALICE, await alice.distribution(CHANNEL));
      const message = await alice.groupSend(CHANNEL, 'x');
      await bob.groupReceive(ALICE, message);
      await bob.groupReceive(ALICE, message);
    },
    'group: bad signature': async (_lib, alice, bob) => {
      await bob.join(ALICE, await alice.distribution(CHANNEL));
      const message = await alice.groupSend(CHANNEL, 'x');
      message[message.length - 10]! ^= 1;
      await bob.groupReceive(ALICE, message);
    },
    'group: receive-only': async (_lib, alice, bob) => {
      await bob.join(ALICE, await alice.distribution(CHANNEL));
      bob.disk.senderKeys.set(
        `${BOB}.1 ${CHANNEL}`,
        bob.disk.senderKeys.get(`${ALICE}.1 ${CHANNEL}`)!,
      );
      await bob.groupSend(CHANNEL, 'x');
    },
    'sealed: empty': (_lib, alice) => alice.openFanOut(new Uint8Array(0)),
    'sealed: version': (_lib, alice) => alice.openFanOut(new Uint8Array([0x33, 0])),
    'sealed: garbage': (_lib, alice) => alice.openFanOut(new Uint8Array([0x11, 255])),
    'decryption error of plaintext': (lib) =>
      lib.DecryptionErrorMessage.forOriginal(new Uint8Array(3), 8, 1, 1),
    'plaintext content: marker': (lib) => lib.PlaintextContent.deserialize(new Uint8Array([1])),
    'certificate: garbage': (lib) => lib.SenderCertificate.deserialize(new Uint8Array([255])),
    'service id: text': (lib) => lib.ServiceId.parseFromServiceIdString('nobody'),
    'service id: kind': (lib) => lib.Aci.parseFromServiceIdString(`PNI:${ALICE}`),
    'bundle: device id': async (lib, _alice, bob) => {
      const b = await bob.publish(4);
      const key = lib.PublicKey.deserialize(b.signedPreKey as Uint8Array<ArrayBuffer>);
      lib.PreKeyBundle.new(
        1,
        0,
        null,
        null,
        1,
        key,
        b.signedPreKeySignature as Uint8Array<ArrayBuffer>,
        key,
        1,
        lib.KEMPublicKey.deserialize(b.kyberPreKey as Uint8Array<ArrayBuffer>),
        b.kyberPreKeySignature as Uint8Array<ArrayBuffer>,
      );
    },
    'bundle: half a prekey': async (lib, _alice, bob) => {
      const b = await bob.publish(4);
      const key = lib.PublicKey.deserialize(b.signedPreKey as Uint8Array<ArrayBuffer>);
      lib.PreKeyBundle.new(
        1,
        1,
        7,
        null,
        1,
        key,
        b.signedPreKeySignature as Uint8Array<ArrayBuffer>,
        key,
        1,
        lib.KEMPublicKey.deserialize(b.kyberPreKey as Uint8Array<ArrayBuffer>),
        b.kyberPreKeySignature as Uint8Array<ArrayBuffer>,
      );
    },
    'username: rule': (lib) => lib.usernames.hash('1a.01'),
  };
  original.initLogger(original.LogLevel.Error, () => {});
  for (const [name, run] of Object.entries(cases)) {
    const results = [];
    for (const lib of Object.values(LIBRARIES)) {
      const alice = device(lib, ALICE, 1, emptyDisk(lib, 5));
      const bob = device(lib, BOB, 1, emptyDisk(lib, 7));
      results.push(await failure(() => run(lib, alice, bob)));
    }
    t.not(results[0]!.kind, 'no error', `${name}: the original refuses`);
    t.same(results[1], results[0], name);
  }
});

t.test('stores are called in the same order', async (t) => {
  const orders = [];
  for (const lib of Object.values(LIBRARIES)) {
    const alice = device(lib, ALICE, 1, emptyDisk(lib, 5));
    const bob = device(lib, BOB, 1, emptyDisk(lib, 7));
    const bundle = await bob.publish(1);
    alice.disk.calls.length = 0;
    bob.disk.calls.length = 0;
    await alice.start(BOB, bundle);
    const messages = [await alice.send(BOB, '1'), await alice.send(BOB, '2')];
    for (const { type, bytes } of messages) await bob.receive(ALICE, type, bytes);
    const answer = await bob.send(ALICE, '3');
    await alice.receive(BOB, answer.type, answer.bytes);
    await alice.distribution(CHANNEL);
    await alice.groupSend(CHANNEL, '4');
    orders.push([alice.disk.calls, bob.disk.calls]);
  }
  t.same(orders[1], orders[0]);
});
