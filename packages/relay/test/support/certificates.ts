// Certificates made when a test runs; none is kept anywhere.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import type { Test } from 'tap';

/** A certificate for 127.0.0.1 in files, as `tlsCert` and `tlsKey` want them. */
export interface TestCertificate {
  readonly tlsCert: string;
  readonly tlsKey: string;
  /** The certificate itself, for clients that should trust it. */
  readonly ca: string;
  /** Put another certificate into the same files. */
  renew(): Promise<string>;
}

export async function certificateFiles(t: Test): Promise<TestCertificate> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-tls-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const [tlsCert, tlsKey] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const renew = async (): Promise<string> => {
    const made = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    writeFileSync(tlsCert, made.cert);
    writeFileSync(tlsKey, made.private, { mode: 0o600 });
    return made.cert;
  };
  return { tlsCert, tlsKey, ca: await renew(), renew };
}
