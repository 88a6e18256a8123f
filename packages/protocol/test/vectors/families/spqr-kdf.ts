/** spqr/kdf.json: the chain, the authenticator and the initial states. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import {
  ciphertextMac,
  epochSecretFrom,
  headerMac,
  startAuthenticator,
  updateAuthenticator,
} from '#src/spqr/authenticator.js';
import { addEpoch, receiveKey, sendKey, startChain } from '#src/spqr/chain.js';
import { decodeChain, encodeChain } from '#src/spqr/codec.js';
import { encodeSpqrState, initialSpqrState } from '#src/spqr/index.js';
import { hex, type Result, check as same } from '../../support/hex.js';

interface Chain {
  authKey: string;
  direction: number;
  afterStart: Record<'nextRoot' | 'send' | 'recv', string>;
  epoch0Send: { index: number; key: string; next: string }[];
  epochs: Record<'secret' | 'nextRoot' | 'send' | 'recv' | 'firstSendKey', string>[];
  recvJump: { index: number; key: string; state: string }[];
}

interface Authenticator {
  authKey: string;
  root: string;
  mac: string;
  steps: (Record<
    | 'header'
    | 'headerMac'
    | 'kemSharedSecret'
    | 'epochSecret'
    | 'rootAfter'
    | 'macKeyAfter'
    | 'ct1ct2'
    | 'ciphertextMac',
    string
  > & { epoch: number })[];
}

interface Initial {
  authKey: string;
  direction: number;
  minVersion: number;
  maxJump: number;
  maxOoo: number;
  state: string;
}

export const files = ['spqr/kdf.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const { chains, authenticators, initialStates } = json as {
    chains: Chain[];
    authenticators: Authenticator[];
    initialStates: Initial[];
  };
  for (const [i, v] of chains.entries()) yield* checkChain(`chain ${i}`, v, crypto);
  for (const [i, v] of authenticators.entries()) {
    yield* checkAuthenticator(`authenticator ${i}`, v, crypto);
  }
  for (const [i, v] of initialStates.entries()) {
    const state = initialSpqrState(crypto, {
      authKey: hex(v.authKey),
      direction: v.direction === 0 ? 'a2b' : 'b2a',
      version: 1,
      minVersion: v.minVersion,
      maxJump: v.maxJump,
      maxOutOfOrderKeys: v.maxOoo,
    });
    yield same(`initial state ${i}`, encodeSpqrState(state), v.state);
  }
}

function* checkChain(name: string, v: Chain, crypto: CryptoProvider): Iterable<Result> {
  const parameters = { maxJump: 25_000, maxOutOfOrderKeys: 2_000 };
  const direction = v.direction === 0 ? 'a2b' : 'b2a';
  const start = startChain(crypto, hex(v.authKey), direction, parameters);
  yield same(`${name}: next root`, start.nextRoot, v.afterStart.nextRoot);
  yield same(`${name}: send`, start.links[0]?.send.next, v.afterStart.send);
  yield same(`${name}: receive`, start.links[0]?.receive.next, v.afterStart.recv);

  let chain = start;
  for (const expected of v.epoch0Send) {
    const { state, output } = sendKey(crypto, chain, 0);
    chain = state;
    yield { name: `${name}: index ${expected.index}`, ok: output.index === expected.index };
    yield same(`${name}: key ${expected.index}`, output.key, expected.key);
    yield same(`${name}: next ${expected.index}`, chain.links[0]?.send.next, expected.next);
  }
  for (const [i, expected] of v.epochs.entries()) {
    chain = addEpoch(crypto, chain, i + 1, hex(expected.secret)).state;
    const link = chain.links.at(-1);
    yield same(`${name}: epoch ${i + 1} next root`, chain.nextRoot, expected.nextRoot);
    yield same(`${name}: epoch ${i + 1} send`, link?.send.next, expected.send);
    yield same(`${name}: epoch ${i + 1} receive`, link?.receive.next, expected.recv);
    const { state, output } = sendKey(crypto, chain, i + 1);
    chain = state;
    yield same(`${name}: epoch ${i + 1} first key`, output.key, expected.firstSendKey);
  }
  chain = start;
  for (const expected of v.recvJump) {
    const { state, output } = receiveKey(crypto, chain, 0, expected.index);
    chain = state;
    yield same(`${name}: received key ${expected.index}`, output, expected.key);
    yield same(`${name}: chain after ${expected.index}`, encodeChain(chain), expected.state);
    const again = encodeChain(decodeChain(hex(expected.state)));
    yield same(`${name}: chain round trip ${expected.index}`, again, expected.state);
  }
}

function* checkAuthenticator(
  name: string,
  v: Authenticator,
  crypto: CryptoProvider,
): Iterable<Result> {
  let authenticator = startAuthenticator(crypto, hex(v.authKey));
  yield same(`${name}: root`, authenticator.root, v.root);
  yield same(`${name}: mac key`, authenticator.macKey, v.mac);
  for (const step of v.steps) {
    const { epoch } = step;
    const header = hex(step.header);
    yield same(
      `${name}: header MAC`,
      headerMac(crypto, authenticator, epoch, header),
      step.headerMac,
    );
    const secret = epochSecretFrom(crypto, epoch, hex(step.kemSharedSecret));
    yield same(`${name}: epoch secret`, secret, step.epochSecret);
    authenticator = updateAuthenticator(crypto, authenticator, epoch, secret);
    yield same(`${name}: root after`, authenticator.root, step.rootAfter);
    yield same(`${name}: mac key after`, authenticator.macKey, step.macKeyAfter);
    const both = hex(step.ct1ct2);
    const mac = ciphertextMac(
      crypto,
      authenticator,
      epoch,
      both.subarray(0, 960),
      both.subarray(960),
    );
    yield same(`${name}: ciphertext MAC`, mac, step.ciphertextMac);
  }
}
