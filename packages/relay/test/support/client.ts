// A client that speaks frames and nothing else: no sessions, bodies are whatever a test says.
import {
  type AccountId,
  authSigningInput,
  type Bytes,
  type ChallengeEvent,
  type DeliverEvent,
  type DeviceEntry,
  deviceListHash,
  decodeFrame,
  encodeFrame,
  generateAccountId,
  type LinkGrant,
  linkSigningInput,
  type PrekeyUpload,
  type RelayEvent,
  type RequestOp,
  type ResponseItem,
  registerSigningInput,
  request,
  type SendPart,
  type SignedDeviceList,
  signAccountDeletion,
  signDeviceList,
  signLinkGrant,
  toHex,
} from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import WebSocket, { type ClientOptions } from 'ws';

/** An account with its keys, and one of its devices. */
export interface Person {
  readonly account: AccountId;
  readonly identity: ReturnType<typeof provider.x25519KeyPair>;
  readonly auth: ReturnType<typeof provider.ed25519KeyPair>;
  readonly device: number;
  readonly registrationId: number;
  readonly devices: SignedDeviceList;
}

export function deviceEntry(
  person: Pick<Person, 'device' | 'registrationId' | 'auth'>,
): DeviceEntry {
  return {
    device: person.device,
    registrationId: person.registrationId,
    authKey: person.auth.public,
  };
}

export function signList(
  person: Pick<Person, 'account' | 'identity'>,
  version: number,
  devices: readonly DeviceEntry[],
): SignedDeviceList {
  const key = toHex(person.account);
  const before = signedLists.get(`${key} ${version - 1}`);
  const previous = before && deviceListHash(provider, before);
  const list = { account: person.account, version, ...(previous && { previous }), devices };
  const signed = signDeviceList(provider, person.identity.secret, provider.randomBytes(64), list);
  if (!signedLists.has(`${key} ${version}`)) signedLists.set(`${key} ${version}`, signed);
  return signed;
}

/** The list signed first for an account and version: the next one names it. */
const signedLists = new Map<string, SignedDeviceList>();

export function newPerson(): Person {
  const account = generateAccountId(provider);
  const identity = provider.x25519KeyPair();
  const auth = provider.ed25519KeyPair();
  const device = 1;
  const registrationId = 1 + Math.floor(Math.random() * 16_000);
  const devices = signList({ account, identity }, 1, [
    { device, registrationId, authKey: auth.public },
  ]);
  return { account, identity, auth, device, registrationId, devices };
}

/** A second device of the same account, not yet in its list. */
export function newDevice(person: Person, device: number): Person {
  const registrationId = person.registrationId + device;
  return { ...person, auth: provider.ed25519KeyPair(), device, registrationId };
}

function typed(type: number, length: number): Bytes {
  const key = provider.randomBytes(length);
  key[0] = type;
  return key;
}

/** Keys of the right shape; relays do not look further. */
export function fakePrekeys(count: number, firstId = 1): PrekeyUpload {
  const ids = Array.from({ length: count }, (_, index) => firstId + index);
  const signed = (id: number, type: number, length: number) => ({
    id,
    public: typed(type, length),
    signature: provider.randomBytes(64),
  });
  return {
    signed: signed(900_001, 5, 33),
    oneTime: ids.map((id) => ({ id, public: typed(5, 33) })),
    lastResortKem: signed(900_002, 8, 1569),
    kem: ids.map((id) => signed(id, 8, 1569)),
  };
}

export function part(to: Person, body: Uint8Array, clientId = provider.randomBytes(16)): SendPart {
  return { device: to.device, registrationId: to.registrationId, clientId, body };
}

export function sendOp(to: Person, ...parts: readonly SendPart[]): RequestOp {
  return {
    kind: 'send',
    dest: to.account,
    parts,
    ephemeral: false,
    urgent: false,
    ttlSeconds: 0,
  };
}

/** What a registration may bring. */
export type RegisterOptions = {
  username?: string;
  prekeys?: PrekeyUpload;
  invite?: Bytes;
  ticket?: string;
  work?: Bytes;
};

/** One socket. */
export class TestClient {
  readonly events: RelayEvent[] = [];
  /** The letters among the events. */
  readonly delivered: DeliverEvent[] = [];
  closeCode: number | undefined;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<
    number,
    { answered(item: ResponseItem): void; closed(reason: Error): void }
  >();
  #arrivals = 0;
  #watchers: (() => void)[] = [];
  #nextId = 1;
  /** Acknowledge at once, as a client does after its own commit. */
  autoAck = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data: Buffer) => {
      for (const item of decodeFrame(new Uint8Array(data))) {
        if (item.kind === 'response') {
          this.#waiting.get(item.id)?.answered(item);
          this.#waiting.delete(item.id);
        } else if (item.kind === 'event') {
          this.events.push(item.event);
          if (item.event.kind === 'deliver') this.delivered.push(item.event);
          if (this.autoAck && item.event.kind === 'deliver') this.ack(item.event.seq);
        }
      }
      this.#arrivals++;
      this.#wake();
    });
    socket.on('close', (code) => {
      this.closeCode = code;
      for (const { closed } of this.#waiting.values()) closed(new Error(`closed ${code}`));
      this.#waiting.clear();
      this.#wake();
    });
    socket.on('error', () => undefined);
  }

  static async connect(url: string, options: ClientOptions = {}): Promise<TestClient> {
    const socket = new WebSocket(url, 'qasid.v1', options);
    const client = new TestClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed')));
    });
    await client.until(() => client.challenge !== undefined);
    return client;
  }

  /** Connect and authenticate. */
  static async login(url: string, person: Person): Promise<TestClient> {
    const client = await TestClient.connect(url);
    const answer = await client.auth(person);
    if (answer.code !== 'CONFIRMED') throw new Error(`auth: ${answer.code}`);
    return client;
  }

  /** Connect and say that there is no account. */
  static async anonymous(url: string): Promise<TestClient> {
    const client = await TestClient.connect(url);
    const answer = await client.ask({ kind: 'anonymous', version: 1 });
    if (answer.code !== 'CONFIRMED') throw new Error(`anonymous: ${answer.code}`);
    return client;
  }

  /** Connect and register. */
  static async register(
    url: string,
    person: Person,
    options: RegisterOptions = {},
  ): Promise<TestClient> {
    const client = await TestClient.connect(url);
    const answer = await client.registerAs(person, options);
    if (answer.code !== 'CONFIRMED') throw new Error(`register: ${answer.code}`);
    return client;
  }

  get challenge(): ChallengeEvent | undefined {
    return this.events.findLast((event) => event.kind === 'challenge');
  }

  bodies(): string[] {
    return this.delivered.map(({ body }) => new TextDecoder().decode(body));
  }

  auth(person: Person): Promise<ResponseItem> {
    const { challenge } = this;
    if (!challenge) throw new Error('no challenge');
    const { relayId, nonce } = challenge;
    const { account, device } = person;
    const signature = provider.ed25519Sign(
      person.auth.secret,
      authSigningInput({ relayId, nonce, account, device }),
    );
    return this.ask({ kind: 'auth', account, device, signature, version: 1 });
  }

  registerAs(person: Person, options: RegisterOptions = {}): Promise<ResponseItem> {
    const { challenge } = this;
    if (!challenge) throw new Error('no challenge');
    const { relayId, nonce } = challenge;
    const { account, device, devices } = person;
    const signature = provider.ed25519Sign(
      person.auth.secret,
      registerSigningInput(provider, { relayId, nonce, account, device, devices }),
    );
    const { prekeys = fakePrekeys(3), ...admission } = options;
    return this.ask({
      kind: 'register',
      account,
      identityKey: person.identity.public,
      ...admission,
      devices,
      device,
      prekeys,
      signature,
      version: 1,
    });
  }

  /** Join by a grant; `seconds` from now until it ends. */
  linkAs(
    person: Person,
    devices: SignedDeviceList,
    options: { seconds?: number; prekeys?: PrekeyUpload; grant?: LinkGrant } = {},
  ): Promise<ResponseItem> {
    const { relayId, nonce, serverTimeMs } = this.#greeting();
    const { account, device } = person;
    const claim = { relayId, nonce, account, device };
    const until = Math.floor(serverTimeMs / 1000) + (options.seconds ?? 200);
    const random = provider.randomBytes(64);
    return this.ask({
      kind: 'link',
      account,
      device,
      devices,
      grant:
        options.grant ?? signLinkGrant(provider, person.identity.secret, random, devices, until),
      prekeys: options.prekeys ?? fakePrekeys(3),
      signature: provider.ed25519Sign(
        person.auth.secret,
        linkSigningInput(provider, { ...claim, devices }),
      ),
      version: 1,
    });
  }

  deleteAs(person: Person): Promise<ResponseItem> {
    const { relayId, nonce } = this.#greeting();
    const { account, device, identity } = person;
    const claim = { relayId, nonce, account, device };
    const random = provider.randomBytes(64);
    const signature = signAccountDeletion(provider, identity.secret, random, claim);
    return this.ask({ kind: 'deleteAccount', account, device, signature });
  }

  #greeting(): ChallengeEvent {
    const { challenge } = this;
    if (!challenge) throw new Error('no challenge');
    return challenge;
  }

  ask(op: RequestOp): Promise<ResponseItem> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.closeCode !== undefined) throw new Error(`closed ${this.closeCode}`);
      this.#waiting.set(id, { answered: resolve, closed: reject });
      this.raw(encodeFrame([request(id, op)]));
    });
  }

  send(to: Person, text: string, clientId?: Bytes): Promise<ResponseItem> {
    return this.ask(sendOp(to, part(to, new TextEncoder().encode(text), clientId)));
  }

  ack(through: number): void {
    this.raw(encodeFrame([request(0, { kind: 'ack', through, also: [] })]));
  }

  raw(frame: Uint8Array | string): void {
    this.#socket.send(frame);
  }

  /** Stop reading from the network, or go on. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Wait for it. A slow machine has all the time it needs: only silence for this long is the end. */
  async until(condition: () => boolean, silenceMs = 30_000): Promise<void> {
    let deadline = Date.now() + silenceMs;
    let heard = this.#arrivals;
    while (!condition()) {
      if (heard !== this.#arrivals) {
        heard = this.#arrivals;
        deadline = Date.now() + silenceMs;
      }
      if (Date.now() > deadline) throw new Error('timed out waiting');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#watchers.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async close(): Promise<void> {
    if (this.closeCode === undefined) {
      this.#socket.close();
      await this.until(() => this.closeCode !== undefined);
    }
  }

  /** Cut the connection without a word. */
  kill(): void {
    this.#socket.terminate();
  }

  #wake(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
