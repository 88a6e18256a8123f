/**
 * A program as people write it for libsignal-client: its own stores by inheritance, and the calls of the
 * guide. It gets the library as an argument, so that the very same code runs on both.
 */
import type * as Signal from '@signalapp/libsignal-client';

/** The library: the original, or our façade in its place. */
export type Library = typeof Signal;

/** Everything one device keeps, as bytes: what an application has on its disk. */
export interface Disk {
  identity: Uint8Array;
  registrationId: number;
  sessions: Map<string, Uint8Array>;
  identities: Map<string, Uint8Array>;
  preKeys: Map<number, Uint8Array>;
  signedPreKeys: Map<number, Uint8Array>;
  kyberPreKeys: Map<number, Uint8Array>;
  senderKeys: Map<string, Uint8Array>;
  usedBaseKeys: Set<string>;
  calls: string[];
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A device's program on one library. Closing it leaves only the disk. */
export function device(lib: Library, name: string, deviceId: number, disk: Disk) {
  const note = (call: string): void => {
    disk.calls.push(call);
  };
  class Sessions extends lib.SessionStore {
    async saveSession(address: Signal.ProtocolAddress, record: Signal.SessionRecord) {
      note('saveSession');
      disk.sessions.set(address.toString(), record.serialize());
    }
    async getSession(address: Signal.ProtocolAddress) {
      note('getSession');
      const found = disk.sessions.get(address.toString());
      return found ? lib.SessionRecord.deserialize(found as Uint8Array<ArrayBuffer>) : null;
    }
    async getExistingSessions(addresses: Signal.ProtocolAddress[]) {
      note('getExistingSessions');
      return addresses.map((address) => {
        const found = disk.sessions.get(address.toString());
        if (!found) throw new Error(`no session for ${address}`);
        return lib.SessionRecord.deserialize(found as Uint8Array<ArrayBuffer>);
      });
    }
  }
  class Identities extends lib.IdentityKeyStore {
    async getIdentityKey() {
      return lib.IdentityKeyPair.deserialize(disk.identity as Uint8Array<ArrayBuffer>).privateKey;
    }
    override async getIdentityKeyPair() {
      note('getIdentityKeyPair');
      return lib.IdentityKeyPair.deserialize(disk.identity as Uint8Array<ArrayBuffer>);
    }
    async getLocalRegistrationId() {
      note('getLocalRegistrationId');
      return disk.registrationId;
    }
    async saveIdentity(address: Signal.ProtocolAddress, key: Signal.PublicKey) {
      note('saveIdentity');
      const before = disk.identities.get(address.toString());
      disk.identities.set(address.toString(), key.serialize());
      return before && hex(before) !== hex(key.serialize())
        ? lib.IdentityChange.ReplacedExisting
        : lib.IdentityChange.NewOrUnchanged;
    }
    async isTrustedIdentity(
      address: Signal.ProtocolAddress,
      key: Signal.PublicKey,
      direction: Signal.Direction,
    ) {
      note(`isTrustedIdentity ${direction}`);
      const before = disk.identities.get(address.toString());
      return before === undefined || hex(before) === hex(key.serialize());
    }
    async getIdentity(address: Signal.ProtocolAddress) {
      const found = disk.identities.get(address.toString());
      return found ? lib.PublicKey.deserialize(found as Uint8Array<ArrayBuffer>) : null;
    }
  }
  class PreKeys extends lib.PreKeyStore {
    async savePreKey(id: number, record: Signal.PreKeyRecord) {
      disk.preKeys.set(id, record.serialize());
    }
    async getPreKey(id: number) {
      note('getPreKey');
      const found = disk.preKeys.get(id);
      if (!found) throw new Error(`no prekey ${id}`);
      return lib.PreKeyRecord.deserialize(found as Uint8Array<ArrayBuffer>);
    }
    async removePreKey(id: number) {
      note('removePreKey');
      disk.preKeys.delete(id);
    }
  }
  class SignedPreKeys extends lib.SignedPreKeyStore {
    async saveSignedPreKey(id: number, record: Signal.SignedPreKeyRecord) {
      disk.signedPreKeys.set(id, record.serialize());
    }
    async getSignedPreKey(id: number) {
      note('getSignedPreKey');
      const found = disk.signedPreKeys.get(id);
      if (!found) throw new Error(`no signed prekey ${id}`);
      return lib.SignedPreKeyRecord.deserialize(found as Uint8Array<ArrayBuffer>);
    }
  }
  class KyberPreKeys extends lib.KyberPreKeyStore {
    async saveKyberPreKey(id: number, record: Signal.KyberPreKeyRecord) {
      disk.kyberPreKeys.set(id, record.serialize());
    }
    async getKyberPreKey(id: number) {
      note('getKyberPreKey');
      const found = disk.kyberPreKeys.get(id);
      if (!found) throw new Error(`no kyber prekey ${id}`);
      return lib.KyberPreKeyRecord.deserialize(found as Uint8Array<ArrayBuffer>);
    }
    async markKyberPreKeyUsed(id: number, signedId: number, baseKey: Signal.PublicKey) {
      note('markKyberPreKeyUsed');
      const triple = `${id} ${signedId} ${hex(baseKey.serialize())}`;
      if (disk.usedBaseKeys.has(triple)) throw new Error('base key used before');
      disk.usedBaseKeys.add(triple);
    }
  }
  class SenderKeys extends lib.SenderKeyStore {
    async saveSenderKey(
      sender: Signal.ProtocolAddress,
      distributionId: string,
      record: Signal.SenderKeyRecord,
    ) {
      note('saveSenderKey');
      disk.senderKeys.set(`${sender} ${distributionId}`, record.serialize());
    }
    async getSenderKey(sender: Signal.ProtocolAddress, distributionId: string) {
      note('getSenderKey');
      const found = disk.senderKeys.get(`${sender} ${distributionId}`);
      return found ? lib.SenderKeyRecord.deserialize(found as Uint8Array<ArrayBuffer>) : null;
    }
  }

  const sessions = new Sessions();
  const identities = new Identities();
  const preKeys = new PreKeys();
  const signedPreKeys = new SignedPreKeys();
  const kyberPreKeys = new KyberPreKeys();
  const senderKeys = new SenderKeys();
  const self = lib.ProtocolAddress.new(name, deviceId);
  const at = (peer: string, peerDevice = 1): Signal.ProtocolAddress =>
    lib.ProtocolAddress.new(peer, peerDevice);

  return {
    lib,
    name,
    deviceId,
    disk,
    self,
    identities,
    sessions,
    /** Make prekeys and hand their public halves out, as a server would pass them on. */
    async publish(id: number, withOneTime = true): Promise<PublicBundle> {
      const identity = await identities.getIdentityKeyPair();
      const signed = lib.PrivateKey.generate();
      const signedSignature = identity.privateKey.sign(signed.getPublicKey().serialize());
      await signedPreKeys.saveSignedPreKey(
        id,
        lib.SignedPreKeyRecord.new(id, 42, signed.getPublicKey(), signed, signedSignature),
      );
      const kyber = lib.KEMKeyPair.generate();
      const kyberSignature = identity.privateKey.sign(kyber.getPublicKey().serialize());
      await kyberPreKeys.saveKyberPreKey(
        id,
        lib.KyberPreKeyRecord.new(id, 43, kyber, kyberSignature),
      );
      const oneTime = withOneTime ? lib.PrivateKey.generate() : undefined;
      if (oneTime) {
        await preKeys.savePreKey(id, lib.PreKeyRecord.new(id, oneTime.getPublicKey(), oneTime));
      }
      return {
        registrationId: disk.registrationId,
        deviceId,
        preKeyId: oneTime ? id : null,
        preKey: oneTime ? oneTime.getPublicKey().serialize() : null,
        signedPreKeyId: id,
        signedPreKey: signed.getPublicKey().serialize(),
        signedPreKeySignature: signedSignature,
        identityKey: identity.publicKey.serialize(),
        kyberPreKeyId: id,
        kyberPreKey: kyber.getPublicKey().serialize(),
        kyberPreKeySignature: kyberSignature,
      };
    },
    async start(peer: string, bundle: PublicBundle, peerDevice = 1) {
      await lib.processPreKeyBundle(
        lib.PreKeyBundle.new(
          bundle.registrationId,
          bundle.deviceId,
          bundle.preKeyId,
          bundle.preKey && lib.PublicKey.deserialize(bundle.preKey as Uint8Array<ArrayBuffer>),
          bundle.signedPreKeyId,
          lib.PublicKey.deserialize(bundle.signedPreKey as Uint8Array<ArrayBuffer>),
          bundle.signedPreKeySignature as Uint8Array<ArrayBuffer>,
          lib.PublicKey.deserialize(bundle.identityKey as Uint8Array<ArrayBuffer>),
          bundle.kyberPreKeyId,
          lib.KEMPublicKey.deserialize(bundle.kyberPreKey as Uint8Array<ArrayBuffer>),
          bundle.kyberPreKeySignature as Uint8Array<ArrayBuffer>,
        ),
        at(peer, peerDevice),
        self,
        sessions,
        identities,
      );
    },
    async send(peer: string, text: string, peerDevice = 1) {
      const message = await lib.signalEncrypt(
        Buffer.from(text) as Uint8Array<ArrayBuffer>,
        at(peer, peerDevice),
        self,
        sessions,
        identities,
      );
      return { type: message.type(), bytes: message.serialize() as Uint8Array };
    },
    async receive(peer: string, type: number, bytes: Uint8Array, peerDevice = 1) {
      const plain = bytes as Uint8Array<ArrayBuffer>;
      const opened =
        type === lib.CiphertextMessageType.PreKey
          ? await lib.signalDecryptPreKey(
              lib.PreKeySignalMessage.deserialize(plain),
              at(peer, peerDevice),
              self,
              sessions,
              identities,
              preKeys,
              signedPreKeys,
              kyberPreKeys,
            )
          : await lib.signalDecrypt(
              lib.SignalMessage.deserialize(plain),
              at(peer, peerDevice),
              self,
              sessions,
              identities,
            );
      return Buffer.from(opened).toString();
    },
    async distribution(distributionId: string) {
      const made = await lib.SenderKeyDistributionMessage.create(self, distributionId, senderKeys);
      return made.serialize() as Uint8Array;
    },
    async join(sender: string, bytes: Uint8Array) {
      const message = lib.SenderKeyDistributionMessage.deserialize(
        bytes as Uint8Array<ArrayBuffer>,
      );
      await lib.processSenderKeyDistributionMessage(at(sender), message, senderKeys);
    },
    async groupSend(distributionId: string, text: string) {
      const plaintext = Buffer.from(text) as Uint8Array<ArrayBuffer>;
      const message = await lib.groupEncrypt(self, distributionId, senderKeys, plaintext);
      return message.serialize() as Uint8Array;
    },
    async groupReceive(sender: string, bytes: Uint8Array) {
      const opened = await lib.groupDecrypt(
        at(sender),
        senderKeys,
        bytes as Uint8Array<ArrayBuffer>,
      );
      return Buffer.from(opened).toString();
    },
    async seal(peer: string, text: string, certificate: Uint8Array) {
      return (await lib.sealedSenderEncryptMessage(
        Buffer.from(text) as Uint8Array<ArrayBuffer>,
        at(peer),
        lib.SenderCertificate.deserialize(certificate as Uint8Array<ArrayBuffer>),
        sessions,
        identities,
      )) as Uint8Array;
    },
    async unseal(sealed: Uint8Array, trustRoot: Uint8Array, time: number) {
      const result = await lib.sealedSenderDecryptMessage(
        sealed as Uint8Array<ArrayBuffer>,
        lib.PublicKey.deserialize(trustRoot as Uint8Array<ArrayBuffer>),
        time,
        null,
        name,
        deviceId,
        sessions,
        identities,
        preKeys,
        signedPreKeys,
        kyberPreKeys,
      );
      return {
        text: Buffer.from(result.message()).toString(),
        sender: result.senderUuid(),
        device: result.deviceId(),
      };
    },
    /** Seal a group message for several devices at once. */
    async fanOut(
      peers: readonly { name: string; device: number }[],
      distributionId: string,
      text: string,
      certificate: Uint8Array,
      excluded: readonly string[] = [],
    ) {
      const plaintext = Buffer.from(text) as Uint8Array<ArrayBuffer>;
      const message = await lib.groupEncrypt(self, distributionId, senderKeys, plaintext);
      const usmc = lib.UnidentifiedSenderMessageContent.new(
        message,
        lib.SenderCertificate.deserialize(certificate as Uint8Array<ArrayBuffer>),
        lib.ContentHint.Implicit,
        Buffer.from('group') as Uint8Array<ArrayBuffer>,
      );
      const sent = (await lib.sealedSenderMultiRecipientEncrypt({
        content: usmc,
        recipients: peers.map((peer) => at(peer.name, peer.device)),
        excludedRecipients: excluded.map((id) => lib.ServiceId.parseFromServiceIdString(id)),
        identityStore: identities,
        sessionStore: sessions,
      })) as Uint8Array;
      return { content: message.serialize() as Uint8Array, sent };
    },
    async openFanOut(received: Uint8Array) {
      const usmc = await lib.sealedSenderDecryptToUsmc(
        received as Uint8Array<ArrayBuffer>,
        identities,
      );
      return {
        type: usmc.msgType(),
        content: usmc.contents() as Uint8Array,
        hint: usmc.contentHint(),
        group: Buffer.from(usmc.groupId() ?? []).toString(),
        sender: usmc.senderCertificate().senderUuid(),
      };
    },
  };
}

/** A device running on one library. */
export type Device = ReturnType<typeof device>;

/** What a server passes on of a device. */
export interface PublicBundle {
  registrationId: number;
  deviceId: number;
  preKeyId: number | null;
  preKey: Uint8Array | null;
  signedPreKeyId: number;
  signedPreKey: Uint8Array;
  signedPreKeySignature: Uint8Array;
  identityKey: Uint8Array;
  kyberPreKeyId: number;
  kyberPreKey: Uint8Array;
  kyberPreKeySignature: Uint8Array;
}

/** A fresh disk with an identity made by `lib`. */
export function emptyDisk(lib: Library, registrationId: number): Disk {
  return {
    identity: lib.IdentityKeyPair.generate().serialize(),
    registrationId,
    sessions: new Map(),
    identities: new Map(),
    preKeys: new Map(),
    signedPreKeys: new Map(),
    kyberPreKeys: new Map(),
    senderKeys: new Map(),
    usedBaseKeys: new Set(),
    calls: [],
  };
}

/** What is thrown, in the words a program can see. */
export async function failure(run: () => unknown): Promise<Record<string, unknown>> {
  try {
    await run();
  } catch (error) {
    const { name, code, message, operation } = error as Record<string, unknown>;
    return code === undefined
      ? { kind: (error as Error).constructor.name }
      : { name, code, message, operation };
  }
  return { kind: 'no error' };
}
