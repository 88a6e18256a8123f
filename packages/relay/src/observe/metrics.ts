/**
 * 13 Relay §8. Sums for Prometheus: how much, how fast, how full. Nothing here is about a single account.
 *
 * What counts on the way of a message is a plain number, added up when somebody asks. Labels are codes of
 * fixed lists: a label that named a person could not be passed (ATK-D08).
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { RelayCode } from '@qasid/protocol/envelope';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { StoreTotals } from '../store/port.js';

/** Where a request met `BUSY`. */
export type BusyWhere = 'queue' | 'credit';

/** What became of a wake-up. */
export type PushOutcome = 'sent' | 'failed' | 'gone' | 'held';

/** Where values come from that nobody adds up. */
export interface MetricSources {
  totals(): Promise<StoreTotals>;
  /** Open sockets by state. */
  sockets(): { readonly greeting: number; readonly attached: number; readonly anonymous: number };
  /** Bytes waiting in all sockets. */
  outBufferBytes(): number;
  /** Bytes of the data files; undefined where there are none. */
  storeBytes(): number | undefined;
  diskFreeBytes(): number | undefined;
  isReady(): boolean;
  /** When the certificate ends, milliseconds since 1970. */
  certificateEndMs(): number | undefined;
}

/** The counters of one relay. */
export class Metrics {
  readonly registry: Registry = new Registry();
  receivedBytes = 0;
  sentBytes = 0;
  deliveries = 0;
  prekeysEmpty = 0;
  swept = 0;
  hintsLost = 0;
  readonly #sends = new Map<RelayCode, number>();
  readonly #busy = new Map<BusyWhere, number>();
  readonly #pushes = new Map<PushOutcome, number>();
  readonly #commitSeconds = this.#histogram(
    'qasid_commit_seconds',
    'from the start of a commit until it is durable',
    SECONDS,
  );
  readonly #batchSize = this.#histogram(
    'qasid_commit_batch_size',
    'changes made durable by one commit',
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  );
  readonly #deliverSeconds = this.#histogram(
    'qasid_deliver_seconds',
    'from the arrival of the oldest change of a commit until it was handed to the sockets',
    SECONDS,
  );

  constructor() {
    this.#counter('qasid_received_bytes_total', 'bytes of frames', () => this.receivedBytes);
    this.#counter('qasid_sent_bytes_total', 'bytes of frames', () => this.sentBytes);
    this.#counter('qasid_deliveries_total', 'envelopes sent to sockets', () => this.deliveries);
    this.#counter(
      'qasid_prekey_empty_total',
      'bundles without a one-time KEM key',
      () => this.prekeysEmpty,
    );
    this.#counter('qasid_sweep_deleted_total', 'expired envelopes', () => this.swept);
    this.#counter(
      'qasid_sweep_found_total',
      'envelopes whose hint was lost, found by looking',
      () => this.hintsLost,
    );
    this.#byLabel('qasid_sends_total', 'answers to sends', 'code', this.#sends);
    this.#byLabel('qasid_busy_total', 'requests told to wait', 'where', this.#busy);
    this.#byLabel('qasid_pushes_total', 'wake-ups of devices', 'outcome', this.#pushes);
  }

  /** A send was answered. */
  send(code: RelayCode): void {
    add(this.#sends, code);
  }

  /** A request was told to wait. */
  busy(where: BusyWhere): void {
    add(this.#busy, where);
  }

  /** A wake-up was sent, or not. */
  push(outcome: PushOutcome): void {
    add(this.#pushes, outcome);
  }

  /** A commit is done and its envelopes are handed over. */
  batch(count: number, commitMs: number, oldestMs: number): void {
    this.#batchSize.observe(count);
    this.#commitSeconds.observe(commitMs / 1000);
    this.#deliverSeconds.observe(oldestMs / 1000);
  }

  /** Measure the process and what `sources` know, too; for a relay whose metrics somebody reads. */
  watch(sources: MetricSources): void {
    collectDefaultMetrics({ register: this.registry });
    const lag = monitorEventLoopDelay({ resolution: 10 });
    lag.enable();
    this.#gauge('qasid_eventloop_lag_seconds', 'p99 since the last look', () => {
      const seconds = lag.percentile(99) / 1e9;
      lag.reset();
      return seconds;
    });
    this.#gauge('qasid_out_buffer_bytes', 'waiting in sockets', () => sources.outBufferBytes());
    this.#gauge('qasid_disk_free_bytes', 'where the data are', () => sources.diskFreeBytes());
    this.#gauge('qasid_store_bytes', 'of the data files', () => sources.storeBytes());
    this.#gauge('qasid_ready', '1 when sends are taken', () => Number(sources.isReady()));
    this.#gauge('qasid_certificate_end_seconds', 'end of the certificate, since 1970', () => {
      const endMs = sources.certificateEndMs();
      return endMs === undefined ? undefined : endMs / 1000;
    });
    this.#totals(sources);
    this.#byLabel('qasid_sockets', 'open sockets', 'kind', () => Object.entries(sources.sockets()));
  }

  #totals(sources: MetricSources): void {
    // One question for all four: they are collected together.
    let asked: Promise<StoreTotals> | undefined;
    const ask = (): Promise<StoreTotals> => {
      asked ??= sources.totals().finally(() => {
        asked = undefined;
      });
      return asked;
    };
    const gauge = (name: string, help: string, key: keyof StoreTotals): void => {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        async collect() {
          this.set((await ask())[key]);
        },
      });
    };
    gauge('qasid_accounts', 'accounts', 'accounts');
    gauge('qasid_devices', 'devices', 'devices');
    gauge('qasid_queue_messages', 'envelopes that wait', 'envelopes');
    gauge('qasid_queue_bytes', 'bytes of envelopes that wait', 'bytes');
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] });
  }

  #counter(name: string, help: string, value: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }

  #gauge(name: string, help: string, value: () => number | undefined): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        const now = value();
        if (now === undefined) this.remove();
        else this.set(now);
      },
    });
  }

  #byLabel(
    name: string,
    help: string,
    label: string,
    values: Iterable<[string, number]> | (() => Iterable<[string, number]>),
  ): void {
    const collect = (metric: Counter | Gauge): void => {
      metric.reset();
      const entries = typeof values === 'function' ? values() : values;
      for (const [code, count] of entries) metric.inc({ [label]: code }, count);
    };
    const options = { name, help, labelNames: [label], registers: [this.registry] };
    if (typeof values === 'function') {
      new Gauge({
        ...options,
        collect() {
          collect(this);
        },
      });
      return;
    }
    new Counter({
      ...options,
      collect() {
        collect(this);
      },
    });
  }
}

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** From well below one fsync to where readiness ends. */
const SECONDS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 2, 5];
