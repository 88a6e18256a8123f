/**
 * 13 Relay. Starting and stopping: config, store, services, server, in this order and back.
 */
import { MAX_FRAME_BYTES, type RelayId, type StoreError } from '@qasid/protocol/envelope';
import { type AdminListener, listenForAdmin } from './admin/listener.js';
import { AdminRouter } from './admin/router.js';
import { addAdminRoutes } from './admin/routes.js';
import { type Bus, createLocalBus, LOCAL_NODE } from './bus.js';
import { openBlobs } from './blobs/choose.js';
import type { Blobs, DiskSpace } from './blobs/port.js';
import { type Clock, systemClock } from './clock.js';
import type { RelayConfig, RelayOptions } from './config.js';
import { checkConfig, type Profile, profileOf } from './config/check.js';
import { type RelayCrypto, relayCrypto } from './crypto.js';
import { dataBytes, loadRelayId, prepareDirectory, temporaryRelayId } from './data-directory.js';
import { drain } from './drain.js';
import { RelayError } from './errors.js';
import { Health } from './observe/health.js';
import { listenForMetrics, type MetricsListener } from './observe/listener.js';
import { createLog, type Log } from './observe/log.js';
import { Metrics } from './observe/metrics.js';
import { openPush } from './push/open.js';
import { BlobRoute } from './routes/blobs.js';
import { httpAnswer } from './routes/http.js';
import { ClientConnection } from './routes/socket.js';
import { AddressKeys, type Context, createBudgets } from './service/context.js';
import type { BlobParts } from './service/blobs.js';
import { FreeDisk } from './service/free-disk.js';
import { createServices, type Services } from './service/services.js';
import { readSharedSecret } from './shared-secret.js';
import { openTicketKeys } from './service/ticket-keys.js';
import { readTicketKeys } from './service/tickets.js';
import { GroupCommit } from './store/group-commit.js';
import { createMemoryStore } from './store/memory.js';
import { FatalStoreError, type RelayStore, type StoreTotals } from './store/port.js';
import type { OpenedStore } from './store/sqlite.js';
import type { EngineOptions } from './store/sqlite-engine.js';
import type { WorkerEvents } from './store/worker-store.js';
import type { HttpExchange } from './transport/exchange.js';
import type { Listening, Transport } from './transport/port.js';
import { certificateEndMs, type TlsFiles, watchCertificate } from './transport/certificate.js';
import { chooseTransport } from './transport/choose.js';
import { plainAddress, trustProxies } from './transport/peer-address.js';

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
  /** Where an operator asks: paths of sockets, `http://` addresses. */
  readonly adminAddresses: readonly string[];
  /** Resolves when the relay has ended, also when an operator asked for it. */
  readonly ended: Promise<void>;
  /** Where metrics are read, if anywhere. */
  readonly metricsUrl: string | undefined;
  /** Resolves, with the reason, when the relay cannot go on and has stopped confirming. */
  readonly failed: Promise<RelayError>;
  /** What is stored, as sums. */
  totals(): Promise<StoreTotals>;
  /** Read the certificate files again; sockets that are open stay so. Trouble is logged, nothing else changes. */
  reload(): Promise<void>;
  /**
   * Stop: refuse new sends, finish those under way, let clients go in slices, checkpoint, release the files.
   * Repeated calls return the same promise.
   */
  drain(): Promise<void>;
  /** The same without slices: all sockets at once. Cuts a drain that is under way short. */
  close(): Promise<void>;
}

/** What tests put in place of the real thing. */
export interface RelayParts {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly bus?: Bus;
  readonly transport?: Transport;
  /** Counts or records what is computed. */
  readonly crypto?: RelayCrypto;
  /** Where the bytes of blobs go. */
  readonly blobs?: Blobs;
  /** How much room there is for blobs. */
  readonly freeDisk?: () => Promise<DiskSpace | undefined>;
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
  const crypto = parts.crypto ?? relayCrypto;
  const { turnUrls, turnSecretFile } = config;
  const secrets = {
    ...(turnUrls.length > 0 &&
      turnSecretFile && { turnSecret: readSharedSecret(turnSecretFile, 'TURN') }),
    ticketKeys: config.ticketKeyFile === undefined ? [] : readTicketKeys(config.ticketKeyFile),
  };
  if (config.directory !== undefined) prepareDirectory(config.directory);
  const relayId =
    config.directory === undefined
      ? temporaryRelayId(crypto)
      : loadRelayId(config.directory, crypto);
  const push = await openPush(config, clock);
  const opened = await openStore(config, log, (error) => fail(error));
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
  const metrics = new Metrics();
  const writer = new GroupCommit(store, clock, {
    ...(config.eagerPush && {
      placed: (writes, results) => services.mailboxes.placed(writes, results),
    }),
    durable: (write, result) => services.mailboxes.durable(write, result),
    fault: (error) => {
      const errorClass = error instanceof Error ? error.name : 'unknown';
      log.write('error', 'REQUEST_FAULT', { errorClass });
    },
    batch: (count, ms, oldestMs) => {
      health.committed(ms);
      metrics.batch(count, ms, oldestMs);
      log.write('trace', 'BATCH', { count, ms: Math.round(ms) });
    },
    failed: (error) => {
      log.write('error', 'COMMIT_FAILED', { code: error.code, errorClass: error.name });
      if (error instanceof FatalStoreError) fail(error);
    },
  });
  const tls = tlsFilesOf(config);
  const { directory, diskFloorBytes } = config;
  const health = new Health({ clock, writer, store, directory, diskFloorBytes });
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
    metrics,
    budgets: createBudgets(config),
    isDraining: false,
  };
  const blobParts = await createBlobParts(context, parts).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const services = createServices(context, push, {
    ...secrets,
    ...(blobParts && { blobParts }),
  });
  context.bus.subscribe(LOCAL_NODE, (hint) => services.mailboxes.hinted(hint));
  let listening: Listening;
  let transportName: 'uws' | 'ws';
  let watcher: MetricsListener | undefined;
  let admins: readonly AdminListener[];
  const router = new AdminRouter();
  addAdminRoutes(router, services, () => void end());
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
        addressOf: config.trustProxy ? trustProxies(config.proxyAddresses) : plainAddress,
      },
      createRoutes(services, health, new AddressKeys(crypto, clock)),
    );
    watcher = await listenForWatchers(services, health, tls).catch(async (error: unknown) => {
      await listening.close();
      throw error;
    });
    admins = await listenForAdmin({
      socket: config.adminSocket,
      port: config.adminPort,
      directory,
      router,
      log,
      crypto,
    }).catch(async (error: unknown) => {
      await watcher?.close();
      await listening.close();
      throw error;
    });
    await health.start();
  } catch (error) {
    await store.close();
    throw error;
  }
  services.mailboxes.sweeper.start();
  services.records.sweeper.start();
  services.blobs.sweeper.start();
  services.blobs.orphanSweeper.start();
  services.arrivalCheck.start();
  const { port } = listening;
  log.write('info', 'STARTED', { port, adapter: transportName });
  const profile = profileOf(config);
  const level = profile.name === 'acknowledged' ? 'warn' : 'info';
  for (const code of profile.dangers) log.write(level, 'DANGEROUS', { code });
  let ending: Promise<void> | undefined;
  let announceEnd: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    announceEnd = resolve;
  });
  let hurry: () => void = () => undefined;
  const hurried = new Promise<void>((resolve) => {
    hurry = resolve;
  });
  const end = (): Promise<void> => {
    unwatch?.();
    const watchers = watcher === undefined ? admins : [watcher, ...admins];
    ending ??= drain({ services, health, listening, watchers }, hurried).then(announceEnd);
    return ending;
  };
  const reload = (): Promise<void> => reloadCertificate(context, listening);
  const unwatch = tls && watchCertificate(tls, clock, () => void reload());
  return {
    url: `${tls === undefined ? 'ws' : 'wss'}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
    port,
    relayId,
    transport: transportName,
    profile,
    metricsUrl: watcher?.url,
    adminAddresses: admins.map(({ address }) => address),
    ended,
    failed,
    totals: () => store.totals(),
    reload,
    drain: end,
    close: () => {
      hurry();
      return end();
    },
  };
}

function createRoutes(services: Services, health: Health, addresses: AddressKeys) {
  const { context, connections, transfers, blobs } = services;
  const blobRoute = transfers && new BlobRoute({ context, desk: blobs, transfers, addresses });
  return {
    open: (socket: ConstructorParameters<typeof ClientConnection>[1], address: string) => {
      context.log.write('debug', 'SOCKET_OPEN');
      const connection = new ClientConnection(services, socket, addresses.of(address));
      connections.add(connection);
      return connection;
    },
    get: (path: string) => httpAnswer(health, path),
    exchange: (exchange: HttpExchange) => {
      if (blobRoute) blobRoute.exchange(exchange);
      else exchange.answer(404, {}, 'not found\n');
    },
  };
}

async function createBlobParts(
  context: Context,
  parts: RelayParts,
): Promise<BlobParts | undefined> {
  const { config, clock, crypto } = context;
  const blobs = parts.blobs ?? (await openBlobs(config));
  if (blobs === undefined) return undefined;
  const space = parts.freeDisk ?? (() => blobs.space());
  return {
    blobs,
    tickets: openTicketKeys(crypto, clock, config.directory),
    disk: new FreeDisk(clock, config.blobFloorBytes, space),
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

/** Measure, and let somebody read it, when a port says so. */
async function listenForWatchers(
  { context, connections }: Services,
  health: Health,
  tls: TlsFiles | undefined,
): Promise<MetricsListener | undefined> {
  const { config, metrics, store } = context;
  const { directory, metricsHost, metricsPort } = config;
  if (metricsPort === undefined) return undefined;
  metrics.watch({
    totals: () => store.totals(),
    sockets: () => {
      const attached = [...connections].filter(({ isAttached }) => isAttached).length;
      const anonymous = [...connections].filter(({ isAnonymous }) => isAnonymous).length;
      return { attached, anonymous, greeting: connections.size - attached - anonymous };
    },
    outBufferBytes: () =>
      [...connections].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0),
    storeBytes: () => (directory === undefined ? undefined : dataBytes(directory)),
    diskFreeBytes: () => health.diskFreeBytes,
    isReady: () => health.isReady,
    certificateEndMs: () => (tls === undefined ? undefined : certificateEndMs(tls)),
  });
  return listenForMetrics(metricsHost, metricsPort, metrics, health);
}

async function openStore(
  config: RelayConfig,
  log: Log,
  ended: (error: StoreError) => void,
): Promise<{ readonly store: RelayStore; readonly epoch: number }> {
  const { mailboxEnvelopesMax: envelopesMax, mailboxBytesMax: bytesMax, idleDays } = config;
  const quota = { envelopesMax, bytesMax, idleDays };
  if (config.store === 'memory' || config.directory === undefined) {
    return { store: createMemoryStore({ quota }), epoch: 0 };
  }
  const { directory, synchronous, storeThread } = config;
  const options = { directory, synchronous, quota };
  const { store, report } = await openSqlite(storeThread, options, {
    restarting: () => log.write('error', 'WORKER_EXIT'),
    ended,
  });
  if (report.migrated > 0) log.write('info', 'MIGRATED', { schema: report.schema });
  if (report.checkSkipped) log.write('warn', 'CHECK_SKIPPED');
  return { store, epoch: report.epoch };
}

/** The driver is loaded only when it is used. */
async function openSqlite(
  thread: 'main' | 'worker',
  options: EngineOptions,
  events: WorkerEvents,
): Promise<OpenedStore> {
  if (thread === 'worker') {
    const { openWorkerStore } = await import('./store/worker-store.js');
    return openWorkerStore(options, events);
  }
  const { openSqliteStore } = await import('./store/sqlite.js');
  return openSqliteStore(options);
}
