/** sessions/pqxdh.json: the whole key schedule of a handshake and of its first message, from both sides. */
import { concatBytes, samePublicBytes, toHex } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { ratchetChain, stepChain } from '#src/double-ratchet.js';
import { accept } from '#src/pqxdh.js';
import { initialSpqrState, spqrReceive } from '#src/spqr/index.js';
import { deriveMessageKeys, messageMac } from '#src/triple-ratchet.js';
import { toKemSecretKey, toPrivateKey, type KeyPair } from '#src/types.js';
import { decodePreKeySignalMessage } from '#src/wire/messages.js';
import { Damaged } from '#src/wire/records.js';
import { base64, hex, check as same, type Result } from '../../support/hex.js';
import { currentOf } from '../../support/recorded.js';

interface Vector {
  alice: { identityPrivateHex: string; ratchetPrivateHex: string };
  bob: {
    identityPrivateHex: string;
    signedPreKeyPrivateHex: string;
    oneTimePreKeyPrivateHex: string | null;
    kyberSecretKey: string;
  };
  baseKeyPublicHex: string;
  kyberCiphertext: string;
  dh: string[];
  kyberSharedSecretHex: string;
  hkdfInputHex: string;
  rootKeyHex: string;
  chainKeyHex: string;
  pqrKeyHex: string;
  aliceSendingRootHex: string;
  aliceSendingChainKeyHex: string;
  aliceRecordAfterSetup: string;
  firstMessage: {
    bytes: string;
    plaintextHex: string;
    messageSeedHex: string;
    spqrKeyHex: string;
    cipherKeyHex: string;
    macKeyHex: string;
    ivHex: string;
    macInputHex: string;
    macHex: string;
  };
}

export const files = ['sessions/pqxdh.json'];

function pairOf(crypto: CryptoProvider, secretHex: string): KeyPair {
  const secret = toPrivateKey(hex(secretHex));
  return { public: crypto.x25519PublicKey(secret), secret };
}

/** `crypto`, keeping what each agreement and derivation was given or gave. */
function watching(crypto: CryptoProvider) {
  const shared: string[] = [];
  const kem: string[] = [];
  const inputs: string[] = [];
  const watched: CryptoProvider = {
    ...crypto,
    x25519: (secret, key) => {
      const out = crypto.x25519(secret, key);
      shared.push(toHex(out));
      return out;
    },
    kyber1024Decapsulate: (secret, ciphertext) => {
      const out = crypto.kyber1024Decapsulate(secret, ciphertext);
      kem.push(toHex(out));
      return out;
    },
    hkdfSha256: (salt, ikm, info, length) => {
      inputs.push(toHex(ikm));
      return crypto.hkdfSha256(salt, ikm, info, length);
    },
  };
  return { watched, shared, kem, inputs };
}

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  for (const [i, v] of (json as { vectors: Vector[] }).vectors.entries()) {
    const at = `handshake ${i}`;
    const message = decodePreKeySignalMessage(base64(v.firstMessage.bytes));
    const setup = currentOf(base64(v.aliceRecordAfterSetup));
    const signedPreKey = pairOf(crypto, v.bob.signedPreKeyPrivateHex);
    const oneTime = v.bob.oneTimePreKeyPrivateHex;
    const { watched, shared, kem, inputs } = watching(crypto);
    const agreement = accept(watched, {
      identity: pairOf(crypto, v.bob.identityPrivateHex),
      signedPreKey,
      preKey: oneTime === null ? undefined : pairOf(crypto, oneTime),
      kemPreKey: {
        public: message.kem?.ciphertext as never,
        secret: toKemSecretKey(base64(v.bob.kyberSecretKey)),
      },
      theirIdentity: message.identityKey,
      theirBaseKey: message.baseKey,
      kemCiphertext: base64(v.kyberCiphertext),
    });
    yield same(`${at}: base key`, message.baseKey, v.baseKeyPublicHex);
    yield { name: `${at}: agreements`, ok: shared.join() === v.dh.join(), detail: shared.join() };
    yield { name: `${at}: KEM secret`, ok: kem.join() === v.kyberSharedSecretHex };
    yield { name: `${at}: HKDF input`, ok: inputs[0] === v.hkdfInputHex, detail: inputs[0] };
    yield same(`${at}: root key`, agreement.rootKey, v.rootKeyHex);
    yield same(`${at}: chain key`, agreement.chainKey, v.chainKeyHex);
    yield same(`${at}: SPQR key`, agreement.spqrAuthKey, v.pqrKeyHex);

    const alice = pairOf(crypto, v.alice.ratchetPrivateHex);
    const sending = ratchetChain(crypto, agreement.rootKey, alice, signedPreKey.public);
    yield same(`${at}: sending root`, sending.rootKey, v.aliceSendingRootHex);
    yield same(`${at}: sending chain`, sending.chain.key, v.aliceSendingChainKeyHex);
    const stored = setup.rootKey;
    yield {
      name: `${at}: stored root`,
      ok: !(stored instanceof Damaged) && samePublicBytes(stored, sending.rootKey),
    };

    const f = v.firstMessage;
    const { message: inner } = message;
    const { output: seed } = stepChain(crypto, sending.chain);
    yield same(`${at}: seed`, seed, f.messageSeedHex);
    const spqr = initialSpqrState(crypto, {
      authKey: agreement.spqrAuthKey,
      direction: 'b2a',
      version: 1,
      minVersion: 1,
      maxJump: 25_000,
      maxOutOfOrderKeys: 2_000,
    });
    const spqrKey = spqrReceive(crypto, spqr, inner.spqr).output.key;
    yield same(`${at}: SPQR message key`, spqrKey, f.spqrKeyHex);
    const keys = deriveMessageKeys(crypto, seed, spqrKey);
    yield same(`${at}: cipher key`, keys.cipherKey, f.cipherKeyHex);
    yield same(`${at}: MAC key`, keys.macKey, f.macKeyHex);
    yield same(`${at}: IV`, keys.iv, f.ivHex);
    const bobIdentity = pairOf(crypto, v.bob.identityPrivateHex).public;
    const macInput = concatBytes(message.identityKey, bobIdentity, inner.authenticated);
    yield same(`${at}: MAC input`, macInput, f.macInputHex);
    yield same(`${at}: MAC received`, inner.mac, f.macHex);
    const mac = messageMac(
      crypto,
      keys.macKey,
      message.identityKey,
      bobIdentity,
      inner.authenticated,
    );
    yield same(`${at}: MAC`, mac, f.macHex);
    const plaintext = crypto.aesCbcDecrypt(keys.cipherKey, keys.iv, inner.ciphertext);
    yield same(`${at}: plaintext`, plaintext, f.plaintextHex);
  }
}
