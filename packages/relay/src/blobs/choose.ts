/**
 * 13 Relay §14. Where this relay keeps the bytes of blobs.
 */
import { join } from 'node:path';
import type { RelayConfig } from '../config.js';
import { unwritable } from '../data-directory.js';
import { RelayError } from '../errors.js';
import { readSharedSecret } from '../shared-secret.js';
import { createFileBlobs } from './files.js';
import type { Blobs } from './port.js';

/**
 * The adapter, opened; `undefined` for a relay that keeps nothing on disk and has no bucket.
 *
 * @throws RelayError `RELAY_CONFIG`, `RELAY_DATA_UNWRITABLE` or `RELAY_DISK_FULL`
 */
export async function openBlobs(config: RelayConfig): Promise<Blobs | undefined> {
  if (config.blobStore === 's3') return openBucket(config);
  if (config.directory === undefined) return undefined;
  const blobs = createFileBlobs(join(config.directory, BLOB_DIRECTORY));
  try {
    await blobs.open();
  } catch (cause) {
    throw unwritable(cause);
  }
  return blobs;
}

async function openBucket(config: RelayConfig): Promise<Blobs> {
  const { s3Endpoint: endpoint, s3Bucket: bucket, s3AccessKey, s3SecretFile } = config;
  // Checked with the rest of the configuration.
  if (!endpoint || !bucket || !s3AccessKey || !s3SecretFile) throw new Error('no bucket');
  const { createS3Blobs } = await import('./s3.js');
  const blobs = await createS3Blobs({
    endpoint,
    bucket,
    region: config.s3Region,
    accessKey: s3AccessKey,
    secret: readSharedSecret(s3SecretFile, 'S3'),
    prefix: config.s3Prefix,
  });
  try {
    await blobs.open();
  } catch (cause) {
    throw new RelayError(
      'RELAY_CONFIG',
      'the object store refuses the bucket or its keys',
      'check s3_bucket, s3_region, s3_access_key and the secret file',
      { cause },
    );
  }
  return blobs;
}

const BLOB_DIRECTORY = 'blobs';
