/** Lines over a logarithmic scale as SVG, by hand: how something grows. */

import { escapeText, svgDocument } from '../plot.js';

/** What to draw. */
export interface Lines {
  readonly heading: string;
  /** Names of the axes. */
  readonly x: string;
  readonly y: string;
  readonly lines: readonly {
    readonly name: string;
    readonly points: readonly { readonly x: number; readonly y: number }[];
  }[];
}

const WIDTH = 860;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 300;
const TOP = 50;
const BOTTOM = 50;
const COLOURS: readonly string[] = [
  '#1b6ca8',
  '#c2571a',
  '#2e8b57',
  '#8a5aa8',
  '#b03060',
  '#777777',
];

function label(value: number): string {
  if (value >= 1_000_000) return `${value / 1_000_000} M`;
  if (value >= 1_000) return `${value / 1_000} k`;
  return `${Number(value.toPrecision(3))}`;
}

/** Powers of ten around some numbers. */
function decades(values: readonly number[]): readonly number[] {
  const positive = values.filter((value) => value > 0);
  const from = Math.floor(Math.log10(Math.min(...positive)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...positive))));
  return Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
}

/** The drawing. Both axes are logarithmic: a straight line up is growth in proportion. */
export function drawLines({ heading, x, y, lines }: Lines): string {
  const all = lines.flatMap(({ points }) => points);
  const xs = decades(all.map((point) => point.x));
  const ys = decades(all.map((point) => point.y));
  const scale = (value: number, ticks: readonly number[], from: number, to: number): number => {
    const low = Math.log10(ticks[0] ?? 1);
    const high = Math.log10(ticks.at(-1) ?? 10);
    return from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  };
  const atX = (value: number): number => scale(value, xs, LEFT, WIDTH - RIGHT);
  const atY = (value: number): number => scale(value, ys, HEIGHT - BOTTOM, TOP);
  const parts: string[] = [
    `<text x="16" y="26" font-size="17" font-weight="600">${escapeText(heading)}</text>`,
  ];
  for (const tick of xs) {
    const at = atX(tick).toFixed(1);
    parts.push(
      `<path d="M${at} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`,
      `<text x="${at}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label(tick)}</text>`,
    );
  }
  for (const tick of ys) {
    const at = atY(tick);
    parts.push(
      `<path d="M${LEFT} ${at.toFixed(1)}H${WIDTH - RIGHT}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${label(tick)}</text>`,
    );
  }
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escapeText(x)}</text>`,
    `<text x="${LEFT}" y="${TOP - 8}" text-anchor="end">${escapeText(y)}</text>`,
  );
  for (const [index, { name, points }] of lines.entries()) {
    const colour = COLOURS[index % COLOURS.length];
    const shown = points.filter((point) => point.x > 0 && point.y > 0);
    const path = shown.map((point) => `${atX(point.x).toFixed(1)} ${atY(point.y).toFixed(1)}`);
    if (path.length > 0) {
      parts.push(`<path d="M${path.join('L')}" stroke="${colour}" stroke-width="2" fill="none"/>`);
    }
    for (const point of shown) {
      parts.push(
        `<circle cx="${atX(point.x).toFixed(1)}" cy="${atY(point.y).toFixed(1)}" r="3.5" fill="${colour}"/>`,
      );
    }
    const legend = TOP + 14 + index * 20;
    parts.push(
      `<path d="M${WIDTH - RIGHT + 18} ${legend - 4}h22" stroke="${colour}" stroke-width="3"/>`,
      `<text x="${WIDTH - RIGHT + 46}" y="${legend}">${escapeText(name)}</text>`,
    );
  }
  return svgDocument(heading, WIDTH, HEIGHT, parts);
}
