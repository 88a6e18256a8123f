/**
 * Accounts for the loads, registered once through the relay's own protocol; the relays under test start
 * from copies of that directory.
 */
import { provider } from '@qasid/protocol/crypto/node';
import {
  type AccountId,
  type ChallengeEvent,
  generateAccountId,
  authSigningInput,
  deviceListHash,
  encodeDeviceList,
  type PrekeyUpload,
  type RequestOp,
  type SignedDeviceList,
} from '@qasid/protocol/envelope';
import { QasidSocket } from './qasid-socket.js';
import { inParallel } from './system.js';

/** One device and what proves it. */
export interface Device {
  readonly account: AccountId;
  readonly device: number;
  readonly registrationId: number;
  readonly auth: ReturnType<typeof provider.ed25519KeyPair>;
}

interface Member extends Device {
  readonly identity: ReturnType<typeof provider.x25519KeyPair>;
}

/** Everybody there is. */
export interface People {
  readonly producers: readonly Device[];
  /** One device each: the queues of the loads. */
  readonly readers: readonly Device[];
  /** Accounts of four devices each, for sends to several devices. */
  readonly families: readonly (readonly Device[])[];
  /** Devices that only hold a socket. */
  readonly idle: readonly Device[];
}

/** How many of each. */
export interface Census {
  readonly producers: number;
  readonly readers: number;
  readonly families: number;
  readonly idle: number;
}

const FAMILY = 4;

/** Register everybody at the relay on `port`, which must set no quotas. */
export async function registerPeople(port: number, census: Census): Promise<People> {
  const single = async (): Promise<Device> => (await register(port, 1))[0]!;
  const producers = await inParallel(census.producers, single);
  const readers = await inParallel(census.readers, single);
  const families = await inParallel(census.families, () => register(port, FAMILY));
  const idle = await inParallel(census.idle, single);
  return { producers, readers, families, idle };
}

/** Prove `device` on a fresh socket. `prepare` is called first: what waits comes with the answer. */
export async function logIn(
  port: number,
  device: Device,
  prepare: (socket: QasidSocket) => void = () => undefined,
  isTls = false,
): Promise<QasidSocket> {
  const { socket, challenge } = await QasidSocket.open(port, isTls);
  prepare(socket);
  try {
    await prove(socket, authOp(challenge, device));
    return socket;
  } catch (error) {
    socket.link.drop();
    throw error;
  }
}

/** The answer to a challenge. */
export function authOp({ relayId, nonce }: ChallengeEvent, who: Device): RequestOp {
  const { account, device } = who;
  const input = authSigningInput({ relayId, nonce, account, device });
  const signature = provider.ed25519Sign(who.auth.secret, input);
  return { kind: 'auth', account, device, signature, version: 1 };
}

async function register(port: number, devices: number): Promise<Device[]> {
  const account = generateAccountId(provider);
  const identity = provider.x25519KeyPair();
  const members: Member[] = Array.from({ length: devices }, (_, index) => ({
    account,
    identity,
    device: index + 1,
    registrationId: 1 + index,
    auth: provider.ed25519KeyPair(),
  }));
  const { socket } = await QasidSocket.open(port);
  let list = sign(members.slice(0, 1), undefined);
  await prove(socket, {
    kind: 'register',
    account,
    identityKey: identity.public,
    devices: list,
    device: 1,
    prekeys: NO_PREKEYS,
    signature: UNSIGNED,
    version: 1,
  });
  await socket.close();
  for (let count = 2; count <= devices; count++) {
    list = await join(port, members.slice(0, count), list);
  }
  return members.map(({ device, registrationId, auth }) => ({
    account,
    device,
    registrationId,
    auth,
  }));
}

/** The last of `members` joins the account of the others. */
async function join(
  port: number,
  members: readonly Member[],
  before: SignedDeviceList,
): Promise<SignedDeviceList> {
  const { account, device } = members.at(-1)!;
  const { socket, challenge } = await QasidSocket.open(port);
  const devices = sign(members, before);
  const expiresAtSeconds = Math.floor(challenge.serverTimeMs / 1_000) + 200;
  await prove(socket, {
    kind: 'link',
    account,
    device,
    devices,
    grant: { expiresAtSeconds, signature: UNSIGNED },
    prekeys: NO_PREKEYS,
    signature: UNSIGNED,
    version: 1,
  });
  await socket.close();
  return devices;
}

async function prove(socket: QasidSocket, op: RequestOp): Promise<void> {
  const { code } = await socket.ask(op);
  if (code !== 'CONFIRMED') throw new Error(`the relay answered ${code} to ${op.kind}`);
}

function sign(members: readonly Member[], before: SignedDeviceList | undefined): SignedDeviceList {
  const { account } = members[0]!;
  const devices = members.map(({ device, registrationId, auth }) => ({
    device,
    registrationId,
    authKey: auth.public,
  }));
  const previous = before && deviceListHash(provider, before);
  const version = members.length;
  const list = { account, version, ...(previous && { previous }), devices };
  return { list: encodeDeviceList(list), signature: UNSIGNED };
}

function typed(type: number, length: number): Uint8Array<ArrayBuffer> {
  const key = provider.randomBytes(length);
  key[0] = type;
  return key;
}

/** The relay that registers them believes every signature, so that ten thousand do not take minutes. */
const UNSIGNED = new Uint8Array(64);

/** Signed keys of the right shape: the relay looks no further, and nobody opens a session here. */
const NO_PREKEYS: PrekeyUpload = {
  signed: { id: 1, public: typed(5, 33), signature: provider.randomBytes(64) },
  oneTime: [],
  lastResortKem: { id: 2, public: typed(8, 1569), signature: provider.randomBytes(64) },
  kem: [],
};
