/** The two plots: messages per second by the clock, and by processor time of the server. */
import { drawChart, type Panel } from '../plot.js';
import type { Comparison } from './compare.js';
import { median } from './histogram.js';
import { LOADS, type Sample } from './loads.js';
import type { System } from './system.js';

/** File name without its ending, and SVG. */
export function drawPlots(
  { results }: Comparison,
  systems: readonly System[],
  notes: readonly string[],
): ReadonlyMap<string, string> {
  /** One panel a load; the first system is the reference. */
  const panels = (perMessageUs: (sample: Sample) => number): Panel[] =>
    LOADS.filter(({ key }) => results.has(key)).map(({ key, title }) => {
      const timesOf = (system: System): number[] =>
        (results.get(key)?.get(system.key) ?? [])
          .filter((sample) => sample !== null)
          .map(perMessageUs);
      const measured = systems.filter((system) => timesOf(system).length > 0);
      const [first] = measured;
      const reference = first === undefined ? 0 : median(timesOf(first));
      const bars = measured.map((system) => {
        const times = timesOf(system);
        return {
          name: `${system.title} (${system.durability})`,
          median: median(times),
          low: Math.min(...times),
          high: Math.max(...times),
          ratio: system === first ? undefined : reference / median(times),
          colour: system.title.startsWith('Qasid') ? 0 : 1,
        };
      });
      return { title: `${key}: ${title}`, bars };
    });
  return new Map([
    [
      'relay-throughput',
      drawChart(
        'Delivered messages per second, 1 KB',
        panels((sample) => 1e6 / sample.deliveredPerSecond),
        notes,
      ),
    ],
    [
      'relay-cpu',
      drawChart(
        'Messages per second of server processor time, 1 KB',
        panels((sample) => sample.cpuUs),
        notes,
      ),
    ],
  ]);
}
