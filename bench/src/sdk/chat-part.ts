/** The tables and plots of two people end to end. */
import { median } from '../relay/histogram.js';
import { type Bar, drawChart, type Panel } from '../plot.js';
import {
  type ChatResults,
  type ChatSample,
  type ChatSize,
  compareChats,
  LOADS,
  VARIANTS,
  type Variant,
} from './chat.js';
import { short, times, type Part, type Table } from './report.js';

/** What ratios are against: the least anybody needs who builds on a session library. */
const PEER = 'libsignal';

const SIZE: ChatSize = { rounds: 5, talk: 200, stream: 500, catchUp: 500 };
const QUICK: ChatSize = { rounds: 2, talk: 60, stream: 150, catchUp: 150 };

/** Below the plots. */
const CHART_NOTES = [
  'Medians of alternating rounds, whiskers are the range. Longer is better. ×: to libsignal-client.',
];

/** Run them. */
export async function chatPart(
  how: { readonly isQuick: boolean; readonly rounds?: number; readonly variants?: string },
  say: (line: string) => void,
): Promise<Part> {
  const chosen = how.variants?.split(',');
  const variants = VARIANTS.filter(({ key }) => chosen?.includes(key) ?? true);
  const base = how.isQuick ? QUICK : SIZE;
  const size = { ...base, rounds: how.rounds ?? base.rounds };
  const results = await compareChats(size, variants, say);
  const notes = [
    `Medians of ${size.rounds} alternating rounds, in brackets the lowest and highest; one round before them warms up. 100 bytes of text.`,
    'Each person is a process with a SQLite file, the relay is another one (in-thread, every confirmation forced to disk). Ratios are to libsignal-client, round by round.',
  ];
  return {
    key: 'chat',
    title: 'Two people, end to end',
    tables: LOADS.map(({ key, title }) => tableOf(key, title, results, variants)),
    charts: {
      'sdk-rate': drawChart(
        'Messages per second, end to end',
        panels(results, variants, ({ perSecond }) => 1e6 / perSecond),
        CHART_NOTES,
      ),
      'sdk-cpu': drawChart(
        'Messages per second of processor time, both people together',
        panels(results, variants, ({ senderUs, receiverUs }) => senderUs + receiverUs),
        CHART_NOTES,
      ),
    },
    notes,
    raw: Object.fromEntries(
      [...results].map(([load, bySystem]) => [load, Object.fromEntries(bySystem)]),
    ),
  };
}

function tableOf(
  load: string,
  title: string,
  results: ChatResults,
  variants: readonly Variant[],
): Table {
  const peer = results.get(load)?.get(PEER);
  const rows = variants.map(({ key, title: name }) => {
    const samples = results.get(load)?.get(key) ?? [];
    const of = (metric: (sample: ChatSample) => number): number => median(samples.map(metric));
    const rates = samples.map(({ perSecond }) => perSecond);
    const ratio = (metric: (sample: ChatSample) => number): string =>
      peer === undefined || key === PEER
        ? ''
        : times(median(samples.map((sample, round) => metric(sample) / metric(peer[round]!))));
    const both = ({ senderUs, receiverUs }: ChatSample): number => senderUs + receiverUs;
    return [
      name,
      `${short(of(({ perSecond }) => perSecond))} [${short(Math.min(...rates))}–${short(Math.max(...rates))}]`,
      ratio(({ perSecond }) => perSecond),
      load === 'catch-up'
        ? '–'
        : `${short(of(({ p50Ms }) => p50Ms))} / ${short(of(({ p99Ms }) => p99Ms))}`,
      load === 'talk' ? '–' : short(of(({ storedPerSecond }) => storedPerSecond)),
      short(of(({ senderUs }) => senderUs)),
      short(of(({ receiverUs }) => receiverUs)),
      short(of(({ relayUs }) => relayUs)),
      ratio(both),
    ];
  });
  return {
    title,
    head: [
      '',
      'messages/s',
      'to libsignal-client',
      'p50 / p99 ms',
      'durable at sender/s',
      'CPU µs sender',
      'receiver',
      'relay',
      'CPU to libsignal-client',
    ],
    rows,
  };
}

function panels(
  results: ChatResults,
  variants: readonly Variant[],
  usOf: (sample: ChatSample) => number,
): Panel[] {
  return LOADS.map(({ key, title }) => {
    const bySystem = results.get(key);
    const peer = median((bySystem?.get(PEER) ?? []).map(usOf));
    const bars = variants.flatMap((variant): Bar[] => {
      const all = (bySystem?.get(variant.key) ?? []).map(usOf);
      if (all.length === 0) return [];
      const middle = median(all);
      return [
        {
          name: variant.title,
          median: middle,
          low: Math.min(...all),
          high: Math.max(...all),
          ratio: variant.key === PEER || peer === 0 ? undefined : peer / middle,
          colour: variant.kind === 'qasid' ? 0 : 1,
        },
      ];
    });
    return { title, bars };
  });
}
