// Both transports are done with a frame when `send` returns: the caller writes the next one into the same array.
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import {
  type Listening,
  type Routes,
  type SendOutcome,
  type Socket,
  SUBPROTOCOL,
  type Transport,
} from '#src/transport/port.js';
import { loadUwsTransport } from '#src/transport/uws.js';
import { wsTransport } from '#src/transport/ws.js';

const FRAMES = 100;
const FRAME_BYTES = 262_144;

/** Send frames out of one array to a client that does not read yet. */
async function sendMany(transport: Transport): Promise<{
  readonly listening: Listening;
  readonly outcomes: Promise<readonly SendOutcome[]>;
}> {
  let tell: (outcomes: readonly SendOutcome[]) => void = () => undefined;
  const outcomes = new Promise<readonly SendOutcome[]>((resolve) => (tell = resolve));
  const routes: Routes = {
    open: (socket: Socket) => ({
      message: () => {
        const shared = new Uint8Array(FRAME_BYTES);
        const all: SendOutcome[] = [];
        for (let frame = 0; frame < FRAMES; frame++) all.push(socket.send(shared.fill(frame)));
        shared.fill(255);
        tell(all);
      },
      text: () => undefined,
      drained: () => undefined,
      closed: () => undefined,
    }),
    get: () => ({ status: 404, body: '' }),
    exchange: (exchange) => exchange.answer(404, {}, ''),
  };
  const listening = await transport.listen(
    {
      host: '127.0.0.1',
      port: 0,
      frameBytesMax: FRAME_BYTES,
      bufferBytesMax: 2 * FRAMES * FRAME_BYTES,
      tls: undefined,
      addressOf: (address) => address,
    },
    routes,
  );
  return { listening, outcomes };
}

async function scenario(t: Test, transport: Transport): Promise<void> {
  const { listening, outcomes } = await sendMany(transport);
  t.teardown(() => listening.close());
  const client = new WebSocket(`ws://127.0.0.1:${listening.port}`, SUBPROTOCOL);
  await new Promise((resolve) => client.once('open', resolve));
  client.pause();
  const wrong: number[] = [];
  let next = 0;
  const done = new Promise<void>((resolve) => {
    client.on('message', (data: Buffer) => {
      const frame = next++;
      if (data.length !== FRAME_BYTES || data.some((byte) => byte !== frame)) wrong.push(frame);
      if (next === FRAMES) resolve();
    });
  });
  client.send(new Uint8Array(1));
  const all = await outcomes;
  t.ok(all.includes('queued'), 'the system takes no more than a part of it at once');
  t.notOk(all.includes('dropped'));
  client.resume();
  await done;
  t.strictSame(wrong, [], 'every frame is what it was when it was sent');
  client.terminate();
}

t.test('ws keeps no frame', (t) => scenario(t, wsTransport));
t.test('uWebSockets.js keeps no frame', async (t) => {
  const uws = await loadUwsTransport().catch(() => undefined);
  if (uws === undefined) t.pass('no binary for this machine');
  else await scenario(t, uws);
});
