/** Façade. Server and sender certificates. */
import { provider as crypto } from '#provider';
import { copyBytes, type Bytes } from '../bytes.js';
import {
  decodeSenderCertificate,
  decodeServerCertificate,
  isValidSenderCertificate,
  issueSenderCertificate,
  issueServerCertificate,
  serverCertificateOf,
  type SenderCertificate as CoreSender,
  type ServerCertificate as CoreServer,
} from '../sealed-sender/index.js';
import { Aci } from './address.js';
import { byteArray, generic, timestamp, translate, u32 } from './errors.js';
import { PublicKey, type PrivateKey } from './keys.js';
import { knownServerCertificates } from './known-certificates.js';

/** Trust root to server key. */
export class ServerCertificate {
  readonly _core: CoreServer;

  private constructor(core: CoreServer) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: CoreServer): ServerCertificate {
    return new ServerCertificate(core);
  }

  static new(keyId: number, serverKey: PublicKey, trustRoot: PrivateKey): ServerCertificate {
    const server = { id: u32(keyId), key: serverKey._core };
    return new ServerCertificate(issueServerCertificate(crypto, server, trustRoot._core));
  }

  static deserialize(bytes: Uint8Array): ServerCertificate {
    return translate('ServerCertificate_Deserialize', () => {
      return new ServerCertificate(decodeServerCertificate(byteArray(bytes)));
    });
  }

  certificateData(): Bytes {
    return copyBytes(this._core.certificate);
  }

  key(): PublicKey {
    return PublicKey._of(this._core.key);
  }

  keyId(): number {
    return this._core.id;
  }

  serialize(): Bytes {
    return copyBytes(this._core.encoded);
  }

  signature(): Bytes {
    return copyBytes(this._core.signature);
  }
}

/** Server key to sender. */
export class SenderCertificate {
  readonly _core: CoreSender;

  private constructor(core: CoreSender) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: CoreSender): SenderCertificate {
    return new SenderCertificate(core);
  }

  static new(
    senderUuid: string | Aci,
    senderE164: string | null,
    senderDeviceId: number,
    senderKey: PublicKey,
    expiration: number,
    signerCert: ServerCertificate,
    signerKey: PrivateKey,
  ): SenderCertificate {
    const name = typeof senderUuid === 'string' ? senderUuid : senderUuid.getServiceIdString();
    if (!Number.isInteger(senderDeviceId) || senderDeviceId < 1 || senderDeviceId > 127) {
      throw generic('invalid argument: device ID is out of range', 'SenderCertificate_New');
    }
    return new SenderCertificate(
      issueSenderCertificate(
        crypto,
        {
          name,
          ...(senderE164 === null ? {} : { phone: senderE164 }),
          device: senderDeviceId,
          identityKey: senderKey._core,
          expiresMs: timestamp(expiration),
        },
        signerCert._core,
        signerKey._core,
      ),
    );
  }

  static deserialize(bytes: Uint8Array): SenderCertificate {
    return translate('SenderCertificate_Deserialize', () => {
      return new SenderCertificate(decodeSenderCertificate(byteArray(bytes)));
    });
  }

  serialize(): Bytes {
    return copyBytes(this._core.encoded);
  }

  certificate(): Bytes {
    return copyBytes(this._core.certificate);
  }

  expiration(): number {
    return this._core.expiresMs;
  }

  key(): PublicKey {
    return PublicKey._of(this._core.identityKey);
  }

  senderE164(): string | null {
    return this._core.senderPhone ?? null;
  }

  senderUuid(): string {
    return this._core.senderName;
  }

  /** The sender's name as an ACI; null when it is none. */
  senderAci(): Aci | null {
    try {
      return Aci.parseFromServiceIdString(this._core.senderName);
    } catch {
      return null;
    }
  }

  senderDeviceId(): number {
    return this._core.senderDevice;
  }

  serverCertificate(): ServerCertificate {
    const found = serverCertificateOf(this._core, {
      knownServerCertificates: knownServerCertificates(),
    });
    if (found === undefined) {
      throw generic('unknown server certificate ID', 'SenderCertificate_GetServerCertificate');
    }
    return ServerCertificate._of(found);
  }

  signature(): Bytes {
    return copyBytes(this._core.signature);
  }

  validate(trustRoot: PublicKey, time: number): boolean {
    return this.validateWithTrustRoots([trustRoot], time);
  }

  validateWithTrustRoots(trustRoots: readonly PublicKey[], time: number): boolean {
    const policy = {
      trustRoots: trustRoots.map((root) => root._core),
      knownServerCertificates: knownServerCertificates(),
    };
    return isValidSenderCertificate(crypto, this._core, policy, timestamp(time));
  }
}
