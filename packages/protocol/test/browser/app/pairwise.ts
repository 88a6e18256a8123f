/** An application that only speaks pairwise: what it bundles is what it must carry. */
import {
  defaultCrypto as crypto,
  encodeKemPreKeyRecord,
  encodePreKeyRecord,
  encodeSignedPreKeyRecord,
  generateIdentityKeyPair,
  generateKemPreKey,
  generatePreKey,
  generateSignedPreKey,
  MemoryStore,
  Operations,
  toAddress,
  utf8,
  type PreKeyBundle,
} from '@qasid/protocol';

const NOW = 1_700_000_000_000;

/** Two devices exchange ten messages; returns what the first one read last. */
export async function converse(): Promise<string> {
  const names = ['9d0652a3-dcc3-4d11-975f-74d61598733f', '796abedb-ca4e-4f18-8803-1fde5b921f9f'];
  const devices = names.map((name) => {
    const identity = generateIdentityKeyPair(crypto);
    const store = new MemoryStore({ identity, registrationId: 5 });
    const local = toAddress(name, 1);
    return { identity, store, local, operations: new Operations({ crypto, store, local }) };
  });
  const [alice, bob] = devices;
  if (!alice || !bob) throw new Error('two devices');
  const signed = generateSignedPreKey(crypto, bob.identity, 1, NOW);
  const kem = generateKemPreKey(crypto, bob.identity, 1, NOW);
  const once = generatePreKey(crypto, 1);
  await bob.store.commit({
    signedPreKeys: [{ id: 1, record: encodeSignedPreKeyRecord(signed) }],
    kemPreKeys: [{ id: 1, record: encodeKemPreKeyRecord(kem), kind: 'one-time' }],
    preKeys: [{ id: 1, record: encodePreKeyRecord(once) }],
  });
  let bundle: PreKeyBundle | undefined = {
    registrationId: 5,
    deviceId: 1,
    identityKey: bob.identity.public,
    preKey: { id: 1, public: once.keyPair.public },
    signedPreKey: { id: 1, public: signed.keyPair.public, signature: signed.signature },
    kemPreKey: { id: 1, public: kem.keyPair.public, signature: kem.signature },
  };
  let read = '';
  for (let i = 0; i < 5; i++) {
    for (const [from, to] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const target = { remote: to.local, plaintext: utf8(`message ${i}`), bundle };
      bundle = undefined;
      const [message] = await from.operations.encrypt([target], NOW);
      if (!message) throw new Error('no message');
      const opened = await to.operations.decrypt(from.local, message.type, message.bytes, NOW);
      read = new TextDecoder().decode(opened.plaintext);
    }
  }
  return `${crypto.name}: ${read}`;
}
