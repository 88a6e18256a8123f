/**
 * What every adapter of `ProtocolStore` must do. One suite, run on each of them: the protocol's safety
 * against crashes, races and replays is exactly this.
 */
import type { Test } from 'tap';
import {
  toPublicKey,
  type Address,
  type Bytes,
  type KeyPair,
  type ProtocolStore,
  type PublicKey,
  type StoreChanges,
} from '@qasid/protocol';

/** One fresh, empty store, and what is in it from the start. */
export interface StoreUnderTest {
  readonly store: ProtocolStore<string>;
  readonly identity: KeyPair;
  readonly registrationId: number;
  /** Everything `extra` stored, in order. */
  extras(): readonly string[] | Promise<readonly string[]>;
  /** Close and open again, for adapters that keep anything; the handle replaces `store`. */
  reopen?(): Promise<ProtocolStore<string>>;
  close?(): Promise<void>;
}

const alice: Address = { name: '11111111-1111-4111-8111-111111111111', deviceId: 1 };
const alice2: Address = { ...alice, deviceId: 2 };
const bytes = (...values: number[]): Bytes => Uint8Array.from(values);
const key = (fill: number): PublicKey => {
  const out = new Uint8Array(33).fill(fill);
  out[0] = 5;
  return toPublicKey(out);
};

const session = (address: Address, fill: number, expectedVersion: number) => ({
  address,
  record: bytes(fill, fill, fill),
  expectedVersion,
});

/** Run the contract. `make` gives a fresh store for each case. */
export function storeContract(t: Test, make: () => Promise<StoreUnderTest>): void {
  const run = (name: string, body: (t: Test, made: StoreUnderTest) => Promise<void>): void => {
    t.test(name, async (t) => {
      const made = await make();
      try {
        await body(t, made);
      } finally {
        await made.close?.();
      }
    });
  };

  run('what is missing is undefined; identity and registration id are there', async (t, made) => {
    const { store } = made;
    t.equal(await store.loadSession(alice), undefined);
    t.equal(await store.loadIdentity(alice.name), undefined);
    t.equal(await store.loadPreKey(1), undefined);
    t.equal(await store.loadSignedPreKey(1), undefined);
    t.equal(await store.loadKemPreKey(1), undefined);
    t.strictSame(
      Array.from((await store.loadIdentityKeyPair()).public),
      Array.from(made.identity.public),
    );
    t.strictSame(
      Array.from((await store.loadIdentityKeyPair()).secret),
      Array.from(made.identity.secret),
    );
    t.equal(await store.loadLocalRegistrationId(), made.registrationId);
  });

  run('versions start at 1 and rise by 1; addresses are apart', async (t, { store }) => {
    await store.commit({ sessions: [session(alice, 1, 0)] });
    t.match(await store.loadSession(alice), { version: 1, record: bytes(1, 1, 1) });
    await store.commit({ sessions: [session(alice, 2, 1), session(alice2, 3, 0)] });
    t.match(await store.loadSession(alice), { version: 2, record: bytes(2, 2, 2) });
    t.match(await store.loadSession(alice2), { version: 1, record: bytes(3, 3, 3) });
    await store.commit({ sessions: [{ address: alice, record: bytes(), expectedVersion: 2 }] });
    t.match(await store.loadSession(alice), { version: 3 }, 'an empty record is a record');
    await store.commit({ sessions: [{ address: alice2, record: undefined, expectedVersion: 1 }] });
    t.equal(await store.loadSession(alice2), undefined, 'deleted');
  });

  run('ATK-C09 a lost update is a conflict, and nothing of it is written', async (t, made) => {
    const { store } = made;
    await store.commit({ sessions: [session(alice, 1, 0)] });
    const late: StoreChanges<string> = {
      sessions: [session(alice2, 9, 0), session(alice, 9, 0)],
      identities: [{ name: alice.name, identityKey: key(9) }],
      preKeys: [{ id: 9, record: bytes(9) }],
      extra: 'late',
    };
    await t.rejects(store.commit(late), { code: 'STORE_CONFLICT' });
    await t.rejects(store.commit({ sessions: [session(alice, 9, 2)] }), { code: 'STORE_CONFLICT' });
    await t.rejects(store.commit({ sessions: [session(alice2, 9, 1)] }), {
      code: 'STORE_CONFLICT',
    });
    t.match(await store.loadSession(alice), { version: 1, record: bytes(1, 1, 1) });
    t.equal(await store.loadSession(alice2), undefined);
    t.equal(await store.loadIdentity(alice.name), undefined);
    t.equal(await store.loadPreKey(9), undefined);
    t.strictSame(await made.extras(), []);
  });

  run('ATK-C09 of two writers from one version exactly one wins', async (t, { store }) => {
    const results = await Promise.allSettled(
      [1, 2, 3, 4].map((fill) => store.commit({ sessions: [session(alice, fill, 0)] })),
    );
    t.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    t.match(await store.loadSession(alice), { version: 1 });
  });

  run('the store owns copies', async (t, { store }) => {
    const change = session(alice, 1, 0);
    const preKey = { id: 1, record: bytes(7) };
    await store.commit({ sessions: [change], preKeys: [preKey] });
    change.record.fill(0);
    preKey.record.fill(0);
    const loaded = await store.loadSession(alice);
    t.strictSame(Array.from(loaded?.record ?? []), [1, 1, 1]);
    loaded?.record.fill(0);
    t.strictSame(Array.from((await store.loadSession(alice))?.record ?? []), [1, 1, 1]);
    t.strictSame(Array.from((await store.loadPreKey(1)) ?? []), [7]);
  });

  run('ATK-B12 two first uses at once: the first key stays', async (t, { store }) => {
    const first = { name: alice.name, identityKey: key(1), firstUse: true };
    await store.commit({ identities: [first] });
    await store.commit({ identities: [first] });
    await t.rejects(
      store.commit({
        identities: [{ ...first, identityKey: key(2) }],
        preKeys: [{ id: 99, record: new Uint8Array([1]) }],
      }),
      { code: 'STORE_CONFLICT' },
    );
    t.strictSame(Array.from((await store.loadIdentity(alice.name)) ?? []), Array.from(key(1)));
    t.equal(await store.loadPreKey(99), undefined, 'nothing of that commit was written');
  });

  run(
    'identities are per account name, and replaced when a person decides',
    async (t, { store }) => {
      await store.commit({ identities: [{ name: alice.name, identityKey: key(1) }] });
      t.strictSame(Array.from((await store.loadIdentity(alice.name)) ?? []), Array.from(key(1)));
      await store.commit({ identities: [{ name: alice.name, identityKey: key(2) }] });
      t.strictSame(Array.from((await store.loadIdentity(alice.name)) ?? []), Array.from(key(2)));
      t.equal(await store.loadIdentity('someone else'), undefined);
    },
  );

  const prekeys: StoreChanges<string> = {
    preKeys: [
      { id: 1, record: bytes(1) },
      { id: 0, record: bytes(10) },
    ],
    signedPreKeys: [{ id: 2, record: bytes(2) }],
    kemPreKeys: [
      { id: 3, record: bytes(3), kind: 'one-time' },
      { id: 4, record: bytes(4), kind: 'last-resort' },
    ],
  };

  run('prekeys are kept by id, also id 0, KEM prekeys with their kind', async (t, { store }) => {
    await store.commit(prekeys);
    t.strictSame(Array.from((await store.loadPreKey(0)) ?? []), [10]);
    t.strictSame(Array.from((await store.loadPreKey(1)) ?? []), [1]);
    t.strictSame(Array.from((await store.loadSignedPreKey(2)) ?? []), [2]);
    t.match(await store.loadKemPreKey(3), { kind: 'one-time', record: bytes(3) });
    t.match(await store.loadKemPreKey(4), { kind: 'last-resort', record: bytes(4) });
    await store.commit({ removedSignedPreKeys: [2], removedKemPreKeys: [4] });
    t.equal(await store.loadSignedPreKey(2), undefined);
    t.equal(await store.loadKemPreKey(4), undefined);
  });

  run('ATK-B06 a one-time prekey opens one session, whoever is faster', async (t, made) => {
    const { store } = made;
    await store.commit(prekeys);
    const use = { kemPreKeyId: 3, signedPreKeyId: 2, baseKey: key(1) };
    await store.commit({ removedPreKeys: [1], usedKemPreKeys: [use], extra: 'first' });
    t.equal(await store.loadPreKey(1), undefined);
    t.equal(await store.loadKemPreKey(3), undefined);
    t.ok(await store.loadPreKey(0), 'the other one stays');
    const again: StoreChanges<string> = {
      sessions: [session(alice, 1, 0)],
      removedPreKeys: [1],
      extra: 'again',
    };
    await t.rejects(store.commit(again), { code: 'STATE_NO_PREKEY' });
    await t.rejects(store.commit({ sessions: [session(alice, 1, 0)], usedKemPreKeys: [use] }), {
      code: 'STATE_NO_PREKEY',
    });
    t.equal(await store.loadSession(alice), undefined, 'nothing of it was written');
    t.strictSame(await made.extras(), ['first']);
  });

  run(
    'ATK-B06 a last-resort prekey remembers base keys as long as both prekeys live',
    async (t, made) => {
      const { store } = made;
      await store.commit({
        ...prekeys,
        signedPreKeys: [2, 5].map((id) => ({ id, record: bytes(id) })),
      });
      const use = { kemPreKeyId: 4, signedPreKeyId: 2, baseKey: key(1) };
      const replay: StoreChanges<string> = {
        sessions: [session(alice, 1, 0)],
        removedPreKeys: [1],
        usedKemPreKeys: [use],
        extra: 'replay',
      };
      await store.commit({ usedKemPreKeys: [use] });
      t.ok(await store.loadKemPreKey(4), 'kept');
      await t.rejects(store.commit(replay), { code: 'STATE_PREKEY_REPLAYED' });
      t.equal(await store.loadSession(alice), undefined);
      t.ok(await store.loadPreKey(1), 'the one-time prekey is still there');
      t.strictSame(await made.extras(), []);
      await t.resolves(store.commit({ usedKemPreKeys: [{ ...use, baseKey: key(2) }] }));
      await t.resolves(store.commit({ usedKemPreKeys: [{ ...use, signedPreKeyId: 5 }] }));
      await store.commit({ removedSignedPreKeys: [2] });
      await t.resolves(store.commit({ usedKemPreKeys: [use] }), 'forgotten with the signed prekey');
      await t.rejects(store.commit({ usedKemPreKeys: [{ ...use, signedPreKeyId: 5 }] }), {
        code: 'STATE_PREKEY_REPLAYED',
      });
    },
  );

  run('ATK-C15 extra is stored with the rest or not at all', async (t, made) => {
    const { store } = made;
    await store.commit({ sessions: [session(alice, 1, 0)], extra: 'one' });
    await store.commit({ extra: 'two' });
    await t.rejects(store.commit({ sessions: [session(alice, 1, 0)], extra: 'three' }));
    t.strictSame(await made.extras(), ['one', 'two']);
  });

  run('what was committed is there after a restart', async (t, made) => {
    if (made.reopen === undefined) {
      t.pass('keeps nothing');
      return;
    }
    await made.store.commit({ ...prekeys, sessions: [session(alice, 1, 0)], extra: 'one' });
    await made.store.commit({
      usedKemPreKeys: [{ kemPreKeyId: 4, signedPreKeyId: 2, baseKey: key(1) }],
    });
    const store = await made.reopen();
    t.match(await store.loadSession(alice), { version: 1, record: bytes(1, 1, 1) });
    t.ok(await store.loadPreKey(1));
    t.strictSame(await made.extras(), ['one']);
    await t.rejects(
      store.commit({ usedKemPreKeys: [{ kemPreKeyId: 4, signedPreKeyId: 2, baseKey: key(1) }] }),
      { code: 'STATE_PREKEY_REPLAYED' },
      'ATK-B06 the replay memory too',
    );
  });
}
