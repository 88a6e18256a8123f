/**
 * 13 Relay. Starting and stopping: config, store, services, server, in this order and back.
 */
import { MAX_FRAME_BYTES, type RelayId, type StoreError } from '@qasid/protocol/envelope';
import { type Bus, createLocalBus, LOCAL_NODE } from './bus.js';
import { type Clock, systemClock } from './clock.js';
import type { RelayConfig, RelayOptions } from './config.js';
import { checkConfig, type Profile, profileOf } from './config/check.js';
import { relayCrypto } from './crypto.js';
import { loadRelayId, prepareDirectory, temporaryRelayId } from './data-directory.js';
import { RelayError } from './errors.js';
import { createLog, type Log } from './observe/log.js';
import { httpAnswer } from './routes/http.js';
import { ClientConnection } from './routes/socket.js';
import { AddressKeys, type Context, createBudgets } from './service/context.js';
import { createServices, type Services } from './service/services.js';
import { readTurnSecret } from './service/turn.js';
import { GroupCommit } from './store/group-commit.js';
import { createMemoryStore } from './store/memory.js';
import { FatalStoreError, type RelayStore, type StoreTotals } from './store/port.js';
import type { OpenedStore } from './store/sqlite.js';
import type { EngineOptions } from './store/sqlite-engine.js';
import type { Listening, Transport } from './transport/port.js';
import { type TlsFiles, watchCertificate } from './transport/certificate.js';
import { chooseTransport } from './transport/choose.js';
import { trustProxies } from './transport/peer-address.js';

/** A relay that is up. */
export interface RunningRelay {
  /** Where clients connect, `ws://host:port`, or `wss://` with a certificate. */
  readonly url: string;
  readonly port: number;
  readonly relayId: RelayId;
  /** The transport that is in use. */
  readonly transport: 'uws' | 'ws';
  /** How it is run: what is dangerous about its settings. */
  readonly profile: Profile;
  /** Resolves, with the reason, when the relay cannot go on and has stopped confirming. */
  readonly failed: Promise<RelayError>;
  /** What is stored, as sums. */
  totals(): Promise<StoreTotals>;
  /** Read the certificate files again; sockets that are open stay so. Trouble is logged, nothing else changes. */
  reload(): Promise<void>;
  /**
   * Stop: refuse new sends, finish those under way, close the sockets, checkpoint, release the files.
   * Repeated calls return the same promise.
   */
  close(): Promise<void>;
}

/** What tests put in place of the real thing. */
export interface RelayParts {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly bus?: Bus;
  readonly transport?: Transport;
  /** Wraps the store, e.g. in one that fails. */
  readonly wrapStore?: (store: RelayStore) => RelayStore;
}

/** Start a relay. @throws RelayError when an option, the data or the network does not allow it. */
export async function startRelay(
  options: RelayOptions,
  parts: RelayParts = {},
): Promise<RunningRelay> {
  const config = checkConfig(options);
  const clock = parts.clock ?? systemClock;
  const log = parts.log ?? createLog(config.logLevel);
  const crypto = relayCrypto;
  const { turnUrls, turnSecretFile } = config;
  const turnSecret =
    turnUrls.length > 0 && turnSecretFile ? readTurnSecret(turnSecretFile) : undefined;
  if (config.directory !== undefined) prepareDirectory(config.directory);
  const relayId =
    config.directory === undefined
      ? temporaryRelayId(crypto)
      : loadRelayId(config.directory, crypto);
  const opened = await openStore(config, log);
  const store = parts.wrapStore?.(opened.store) ?? opened.store;
  let announceFailure: (error: RelayError) => void = () => undefined;
  const failed = new Promise<RelayError>((resolve) => {
    announceFailure = resolve;
  });
  const fail = (error: StoreError): void => {
    log.write('error', 'STORE_FATAL', { code: error.code });
    writer.poison(error);
    announceFailure(
      new RelayError(
        'RELAY_STORE_FAILED',
        'the store failed in the middle of a commit',
        'check the disk, then start the relay again: nothing that was confirmed is lost',
        { cause: error },
      ),
    );
  };
  const writer = new GroupCommit(store, clock, {
    durable: (write, result) => services.mailboxes.durable(write, result),
    fault: (error) => {
      const errorClass = error instanceof Error ? error.name : 'unknown';
      log.write('error', 'REQUEST_FAULT', { errorClass });
    },
    batch: (count, ms) => log.write('trace', 'BATCH', { count, ms: Math.round(ms) }),
    failed: (error) => {
      log.write('error', 'COMMIT_FAILED', { code: error.code, errorClass: error.name });
      if (error instanceof FatalStoreError) fail(error);
    },
  });
  const tls = tlsFilesOf(config);
  const context: Context = {
    config,
    relayId,
    epoch: opened.epoch,
    store,
    writer,
    bus: parts.bus ?? createLocalBus(),
    clock,
    crypto,
    log,
    budgets: createBudgets(config),
    isDraining: false,
  };
  const services = createServices(context, turnSecret);
  context.bus.subscribe(LOCAL_NODE, (hint) => services.mailboxes.hinted(hint));
  let listening: Listening;
  let transportName: 'uws' | 'ws';
  try {
    const { transport, isFallback } = parts.transport
      ? { transport: parts.transport, isFallback: false }
      : await chooseTransport(config.transport);
    if (isFallback) log.write('warn', 'FALLBACK_TRANSPORT', { adapter: transport.name });
    transportName = transport.name;
    listening = await transport.listen(
      {
        host: config.host,
        port: config.port,
        frameBytesMax: MAX_FRAME_BYTES,
        bufferBytesMax: config.outBufferBytes + config.windowBytes + 2 * MAX_FRAME_BYTES,
        tls,
        addressOf: config.trustProxy ? trustProxies(config.proxyAddresses) : (peer) => peer,
      },
      createRoutes(services, new AddressKeys(crypto, clock)),
    );
  } catch (error) {
    await store.close();
    throw error;
  }
  services.mailboxes.sweeper.start();
  services.records.sweeper.start();
  services.arrivalCheck.start();
  const { port } = listening;
  log.write('info', 'STARTED', { port, adapter: transportName });
  const profile = profileOf(config);
  const level = profile.name === 'acknowledged' ? 'warn' : 'info';
  for (const code of profile.dangers) log.write(level, 'DANGEROUS', { code });
  let closing: Promise<void> | undefined;
  const reload = (): Promise<void> => reloadCertificate(context, listening);
  const unwatch = tls && watchCertificate(tls, clock, () => void reload());
  return {
    url: `${tls === undefined ? 'ws' : 'wss'}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
    port,
    relayId,
    transport: transportName,
    profile,
    failed,
    totals: () => store.totals(),
    reload,
    close: () => {
      unwatch?.();
      closing ??= stop(services, listening);
      return closing;
    },
  };
}

function createRoutes(services: Services, addresses: AddressKeys) {
  const { context, connections } = services;
  return {
    open: (socket: ConstructorParameters<typeof ClientConnection>[1], address: string) => {
      context.log.write('debug', 'SOCKET_OPEN');
      const connection = new ClientConnection(services, socket, addresses.of(address));
      connections.add(connection);
      return connection;
    },
    get: (path: string) => httpAnswer({ isReady: () => isReady(context) }, path),
  };
}

function tlsFilesOf({ tlsCert, tlsKey }: RelayConfig): TlsFiles | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  return { certFile: tlsCert, keyFile: tlsKey };
}

/** The relay goes on with what it has when the new files cannot be used. */
async function reloadCertificate({ log }: Context, listening: Listening): Promise<void> {
  try {
    await listening.reloadTls();
    log.write('info', 'CERTIFICATE');
  } catch (error) {
    const code = error instanceof RelayError ? error.code : 'unknown';
    log.write('error', 'CERTIFICATE_REFUSED', { code });
  }
}

function isReady({ isDraining, writer }: Context): boolean {
  return !isDraining && !writer.isFull && !writer.isFailed;
}

async function stop(services: Services, listening: Listening): Promise<void> {
  const { context, connections } = services;
  context.log.write('info', 'DRAINING', { count: connections.size });
  context.isDraining = true;
  listening.stopAccepting();
  services.mailboxes.sweeper.stop();
  services.records.sweeper.stop();
  services.arrivalCheck.stop();
  for (const connection of connections) connection.drain(0);
  // A disk that hangs must not hold up the end for ever: what was not confirmed may be lost.
  await Promise.race([
    context.writer.flushed(),
    new Promise<void>((resolve) => context.clock.after(DRAIN_MAX_MS, resolve)),
  ]);
  // The answers to what was committed last are still on their way to their sockets.
  await new Promise((resolve) => setImmediate(resolve));
  for (const connection of connections) connection.end('RESTART');
  // Let answers and close frames leave before the sockets are torn down.
  const deadlineMs = context.clock.monotonicMs() + CLOSE_GRACE_MS;
  while (connections.size > 0 && context.clock.monotonicMs() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await listening.close();
  await context.store.close();
  context.log.write('info', 'STOPPED');
}

async function openStore(
  config: RelayConfig,
  log: Log,
): Promise<{ readonly store: RelayStore; readonly epoch: number }> {
  const quota = { envelopesMax: config.mailboxEnvelopesMax, bytesMax: config.mailboxBytesMax };
  if (config.store === 'memory' || config.directory === undefined) {
    return { store: createMemoryStore({ quota }), epoch: 0 };
  }
  const { directory, synchronous, storeThread } = config;
  const options = { directory, synchronous, quota };
  const { store, report } = await openSqlite(storeThread, options);
  if (report.migrated > 0) log.write('info', 'MIGRATED', { schema: report.schema });
  if (report.checkSkipped) log.write('warn', 'CHECK_SKIPPED');
  return { store, epoch: report.epoch };
}

/** The driver is loaded only when it is used. */
async function openSqlite(thread: 'main' | 'worker', options: EngineOptions): Promise<OpenedStore> {
  if (thread === 'worker') {
    const { openWorkerStore } = await import('./store/worker-store.js');
    return openWorkerStore(options);
  }
  const { openSqliteStore } = await import('./store/sqlite.js');
  return openSqliteStore(options);
}

/** How long commits may take at the end, in milliseconds. */
const DRAIN_MAX_MS = 60_000;

/** How long clients get to take their last frames. */
const CLOSE_GRACE_MS = 500;
