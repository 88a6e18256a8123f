/**
 * sessions/errors.json: prekey messages with one thing wrong each, handed to a recipient without a session.
 * The answer must agree, and a refused message must have changed nothing.
 */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import { MemoryStore } from '#src/memory-store.js';
import { Operations } from '#src/operations.js';
import type { StoreChanges } from '#src/stores.js';
import { toAddress, toPrivateKey } from '#src/types.js';
import { decodeSignalMessage } from '#src/wire/messages.js';
import { base64, hex, check as same, type Result } from '../../support/hex.js';
import { expectedCode, type RecordedError } from '../../support/recorded.js';

interface File {
  cases: {
    note: string;
    bytes: string;
    expected: { plaintextHex?: string; error?: RecordedError };
  }[];
  whisperCases: {
    note: string;
    bytes: string;
    expected: { error?: RecordedError; version?: number; counter?: number; bodyHex?: string };
  }[];
  alice: { name: string; deviceId: number };
  bob: {
    name: string;
    deviceId: number;
    registrationId: number;
    identityPrivateHex: string;
    preKeyRecord: string;
    signedPreKeyRecord: string;
    kyberPreKeyRecord: string;
  };
}

export const files = ['sessions/errors.json'];

class CountingStore extends MemoryStore<string> {
  commits = 0;
  override async commit(changes: StoreChanges<string>): Promise<void> {
    await super.commit(changes);
    this.commits += 1;
  }
}

function told(error: unknown): string {
  if (!(error instanceof QasidError)) throw error;
  return error.code;
}

export async function* check(json: unknown, crypto: CryptoProvider): AsyncIterable<Result> {
  const { cases, whisperCases, alice, bob } = json as File;
  const secret = toPrivateKey(hex(bob.identityPrivateHex));
  const identity = { public: crypto.x25519PublicKey(secret), secret };
  for (const { note, bytes, expected } of cases) {
    const store = new CountingStore({ identity, registrationId: bob.registrationId });
    await store.commit({
      preKeys: [{ id: 1, record: base64(bob.preKeyRecord) }],
      signedPreKeys: [{ id: 2, record: base64(bob.signedPreKeyRecord) }],
      kemPreKeys: [{ id: 3, record: base64(bob.kyberPreKeyRecord), kind: 'one-time' }],
    });
    store.commits = 0;
    const local = toAddress(bob.name, bob.deviceId);
    const remote = toAddress(alice.name, alice.deviceId);
    const operations = new Operations({ crypto, store, local });
    try {
      const opened = await operations.decrypt(remote, 3, base64(bytes), 0);
      yield same(note, opened.plaintext, expected.plaintextHex ?? 'an error');
    } catch (error) {
      const code = told(error);
      const wanted = expected.error ? expectedCode(expected.error.message) : 'no error';
      yield { name: note, ok: code === wanted, detail: `${code} != ${wanted}` };
      const kept =
        store.commits === 0 &&
        (await store.loadSession(remote)) === undefined &&
        (await store.loadIdentity(remote.name)) === undefined &&
        (await store.loadPreKey(1)) !== undefined;
      yield { name: `${note}: ATK-C04 ATK-B07 ATK-B12 nothing stored, no prekey gone`, ok: kept };
    }
  }
  for (const { note, bytes, expected } of whisperCases) {
    const name = `parse: ${note}`;
    try {
      const message = decodeSignalMessage(base64(bytes));
      yield {
        name,
        ok: message.version === expected.version && message.counter === expected.counter,
      };
      yield same(`${name}: body`, message.ciphertext, expected.bodyHex ?? 'an error');
    } catch (error) {
      const code = told(error);
      const wanted = expected.error ? expectedCode(expected.error.message) : 'no error';
      yield { name, ok: code === wanted, detail: `${code} != ${wanted}` };
    }
  }
}
