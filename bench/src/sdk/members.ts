/** Accounts that exist and have keys to write to, and that nobody uses: the other members of a large group. */
import { generateIdentityKeyPair, generateKemPreKey, generateSignedPreKey } from '@qasid/protocol';
import { provider } from '@qasid/protocol/crypto/node';
import {
  accountText,
  generateAccountId,
  RELAY_PROTOCOL_VERSION,
  registerSigningInput,
  signDeviceList,
} from '@qasid/protocol/envelope';
import { QasidSocket } from '../relay/qasid-socket.js';
import { inParallel } from '../relay/system.js';

/** Register `count` accounts of one device; prekeys without one-time ones. @returns their ids. */
export function registerMembers(port: number, count: number): Promise<string[]> {
  return inParallel(count, () => registerMember(port), 8);
}

async function registerMember(port: number): Promise<string> {
  const identity = generateIdentityKeyPair(provider);
  const auth = provider.ed25519KeyPair();
  const account = generateAccountId(provider);
  const devices = signDeviceList(provider, identity.secret, provider.randomBytes(64), {
    account,
    version: 1,
    devices: [{ device: 1, registrationId: 1, authKey: auth.public }],
  });
  const signed = generateSignedPreKey(provider, identity, 1, Date.now());
  const kem = generateKemPreKey(provider, identity, 1, Date.now());
  const { socket, challenge } = await QasidSocket.open(port);
  const { relayId, nonce } = challenge;
  const claim = registerSigningInput(provider, { relayId, nonce, account, device: 1, devices });
  const { code } = await socket.ask({
    kind: 'register',
    account,
    identityKey: identity.public,
    devices,
    device: 1,
    prekeys: {
      signed: { id: 1, public: signed.keyPair.public, signature: signed.signature },
      oneTime: [],
      lastResortKem: { id: 1, public: kem.keyPair.public, signature: kem.signature },
      kem: [],
    },
    signature: provider.ed25519Sign(auth.secret, claim),
    version: RELAY_PROTOCOL_VERSION,
  });
  await socket.close();
  if (code !== 'CONFIRMED') throw new Error(`the relay answered ${code} to a member`);
  return accountText(account);
}
