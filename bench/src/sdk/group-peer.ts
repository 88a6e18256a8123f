/**
 * The cryptography of a large group alone, by libsignal-client with records in memory: what a send costs before
 * any disk and any network.
 */
import * as lib from '@signalapp/libsignal-client';
import { Identities } from '../libsignal.js';
import { LibsignalSessions } from './bare-sessions.js';

type Bytes = Uint8Array<ArrayBuffer>;

const SENDER = '9d0652a3-dcc3-4d11-975f-74d61598733f';
const CHANNEL = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';

/** What it took. */
export interface PeerCost {
  readonly cpuUs: number;
  /** Of what would go to the relay. */
  readonly bytes: number;
}

class SenderKeys extends lib.SenderKeyStore {
  #record: Bytes | undefined;
  async saveSenderKey(_: unknown, __: string, record: lib.SenderKeyRecord): Promise<void> {
    this.#record = record.serialize();
  }
  async getSenderKey(): Promise<lib.SenderKeyRecord | null> {
    return this.#record ? lib.SenderKeyRecord.deserialize(this.#record) : null;
  }
}

class Sessions extends lib.SessionStore {
  readonly #records = new Map<string, Bytes>();
  async saveSession(address: lib.ProtocolAddress, record: lib.SessionRecord): Promise<void> {
    this.#records.set(address.toString(), record.serialize());
  }
  async getSession(address: lib.ProtocolAddress): Promise<lib.SessionRecord | null> {
    const found = this.#records.get(address.toString());
    return found ? lib.SessionRecord.deserialize(found) : null;
  }
  async getExistingSessions(addresses: lib.ProtocolAddress[]): Promise<lib.SessionRecord[]> {
    const found = await Promise.all(addresses.map((address) => this.getSession(address)));
    return found.filter((record) => record !== null);
  }
}

/** Whom a group has is not in question here. */
class Members extends Identities {
  readonly known = new Map<string, lib.PublicKey>();
  override async saveIdentity(
    name: lib.ProtocolAddress,
    key: lib.PublicKey,
  ): Promise<lib.IdentityChange> {
    this.known.set(name.name(), key);
    return lib.IdentityChange.NewOrUnchanged;
  }
  override async isTrustedIdentity(): Promise<boolean> {
    return true;
  }
  override async getIdentity(name: lib.ProtocolAddress): Promise<lib.PublicKey | null> {
    return this.known.get(name.name()) ?? null;
  }
}

/** One founder of a group of `members` others. */
export class GroupPeer {
  readonly #self = lib.ProtocolAddress.new(SENDER, 1);
  readonly #identities = new Members();
  readonly #sessions = new Sessions();
  readonly #keys = new SenderKeys();
  readonly #bundles: readonly Readonly<Record<string, Bytes>>[];
  readonly #addresses: readonly lib.ProtocolAddress[];
  readonly #certificate: lib.SenderCertificate;

  private constructor(bundles: readonly Readonly<Record<string, Bytes>>[]) {
    this.#bundles = bundles;
    this.#addresses = bundles.map((_, index) =>
      lib.ProtocolAddress.new(`796abedb-ca4e-4f18-8803-${index.toString(16).padStart(12, '0')}`, 1),
    );
    const [root, server] = [lib.PrivateKey.generate(), lib.PrivateKey.generate()];
    this.#certificate = lib.SenderCertificate.new(
      SENDER,
      null,
      1,
      this.#identities.pair.publicKey,
      Date.now() + 86_400_000,
      lib.ServerCertificate.new(1, server.getPublicKey(), root),
      server,
    );
  }

  static async create(members: number): Promise<GroupPeer> {
    // One person's keys for everybody: making them is not what is measured.
    const bundle = await new LibsignalSessions('member').publish();
    return new GroupPeer(Array.from({ length: members }, () => bundle));
  }

  /** A session with each member, the sender key for each of them, and the message. */
  first(text: Bytes): Promise<PeerCost> {
    return measured(async () => {
      const handed = await lib.SenderKeyDistributionMessage.create(this.#self, CHANNEL, this.#keys);
      const plain = handed.serialize();
      let bytes = 0;
      for (const [index, address] of this.#addresses.entries()) {
        await this.#meet(address, this.#bundles[index]!);
        const message = await lib.signalEncrypt(
          plain,
          address,
          this.#self,
          this.#sessions,
          this.#identities,
        );
        bytes += message.serialize().length;
      }
      return bytes + (await this.#send(text));
    });
  }

  /** One signature, one encryption, and one sealed message that the server takes apart. */
  next(text: Bytes): Promise<PeerCost> {
    return measured(() => this.#send(text));
  }

  async #send(text: Bytes): Promise<number> {
    const inner = await lib.groupEncrypt(this.#self, CHANNEL, this.#keys, text);
    const content = lib.UnidentifiedSenderMessageContent.new(inner, this.#certificate, 1, null);
    const sealed = await lib.sealedSenderMultiRecipientEncrypt({
      content,
      recipients: [...this.#addresses],
      identityStore: this.#identities,
      sessionStore: this.#sessions,
    });
    return sealed.length;
  }

  async #meet(
    address: lib.ProtocolAddress,
    bundle: Readonly<Record<string, Bytes>>,
  ): Promise<void> {
    const parsed = lib.PreKeyBundle.new(
      1,
      1,
      1,
      lib.PublicKey.deserialize(bundle.oneTime!),
      1,
      lib.PublicKey.deserialize(bundle.signed!),
      bundle.signature!,
      lib.PublicKey.deserialize(bundle.identity!),
      1,
      lib.KEMPublicKey.deserialize(bundle.kem!),
      bundle.kemSignature!,
    );
    await lib.processPreKeyBundle(parsed, address, this.#self, this.#sessions, this.#identities);
  }
}

async function measured(work: () => Promise<number>): Promise<PeerCost> {
  const before = process.cpuUsage();
  const bytes = await work();
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: user + system, bytes };
}
