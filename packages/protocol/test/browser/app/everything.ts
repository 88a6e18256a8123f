/** An application that uses all of the package: groups, sealed sender, attachments, the façade. */
import * as protocol from '@qasid/protocol';
import * as facade from '@qasid/protocol/libsignal';
import * as envelope from '@qasid/protocol/envelope';

/** Names kept alive, so that a bundler cannot drop anything. */
export const everything: readonly unknown[] = [
  ...Object.values(protocol),
  ...Object.values(facade),
  ...Object.values(envelope),
];

/** One file through the attachment cipher, on Web Streams. */
export async function sendFile(): Promise<string> {
  const { defaultCrypto: crypto, defaultStreams: streams } = protocol;
  const plaintext = new Uint8Array(200_000).map((_, i) => i);
  const source = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
    new Blob([bytes as Uint8Array<ArrayBuffer>]).stream() as ReadableStream<Uint8Array>;
  const { transform, pointer } = protocol.encryptAttachment(
    streams,
    crypto.randomBytes(64),
    crypto.randomBytes(16),
    plaintext.length,
  );
  const collect = async (stream: ReadableStream<Uint8Array>): Promise<Uint8Array> =>
    new Uint8Array(
      await new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
    );
  const blob = await collect(source(plaintext).pipeThrough(transform));
  const opened = await collect(
    source(blob).pipeThrough(protocol.decryptAttachment(streams, await pointer)),
  );
  return opened.every((byte, i) => byte === plaintext[i])
    ? `${opened.length} bytes`
    : 'wrong bytes';
}
