/** A bar chart as SVG, by hand: one panel a scenario, longer is faster. */
/** One bar: microseconds per unit; longer is fewer. */
export interface Bar {
  readonly name: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Against the reference; absent for the reference itself. */
  readonly ratio: number | undefined;
  /** Which colour; by its place when absent. */
  readonly colour?: number;
}

/** One scenario to draw. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 860;
const LEFT = 230;
const RIGHT = 250;
const BAR = 20;
const GAP = 7;
const TITLE = 34;
const COLOURS: readonly string[] = ['#1b6ca8', '#b9b9b9', '#9cc3dd'];

/** Text as it stands in a picture. */
export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${more}>${escapeText(content)}</text>`;
}

function perSecond(microseconds: number): number {
  return 1e6 / microseconds;
}

function short(value: number): string {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} k`;
  return value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

function duration(microseconds: number): string {
  return microseconds >= 1000
    ? `${(microseconds / 1000).toFixed(1)} ms`
    : `${microseconds.toFixed(0)} µs`;
}

/** The chart. `notes` go below it, one line each. */
export function drawChart(
  heading: string,
  panels: readonly Panel[],
  notes: readonly string[],
): string {
  const parts: string[] = [];
  let y = 40;
  parts.push(text(16, 26, heading, ' font-size="17" font-weight="600"'));
  for (const panel of panels) {
    const fastest = Math.max(...panel.bars.map((bar) => perSecond(bar.low)));
    const scale = (WIDTH - LEFT - RIGHT) / fastest;
    y += TITLE;
    parts.push(text(16, y - 10, panel.title, ' font-size="14" font-weight="600"'));
    for (const [i, bar] of panel.bars.entries()) {
      const rate = perSecond(bar.median);
      const end = LEFT + rate * scale;
      const middle = y + BAR / 2;
      const colour = COLOURS[(bar.colour ?? i) % COLOURS.length];
      parts.push(text(LEFT - 8, middle + 4, bar.name, ' text-anchor="end"'));
      parts.push(
        `<rect x="${LEFT}" y="${y}" width="${(rate * scale).toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
      );
      const from = LEFT + perSecond(bar.high) * scale;
      const to = LEFT + perSecond(bar.low) * scale;
      parts.push(
        `<path d="M${from.toFixed(1)} ${middle}H${to.toFixed(1)}M${from.toFixed(1)} ${middle - 4}v8M${to.toFixed(1)} ${middle - 4}v8" stroke="#333" fill="none"/>`,
      );
      const ratio = bar.ratio === undefined ? '' : `, ${bar.ratio.toFixed(2)}×`;
      const label = `${short(rate)}/s, ${duration(bar.median)}${ratio}`;
      parts.push(text(Math.max(end, to) + 8, middle + 4, label));
      y += BAR + GAP;
    }
  }
  y += 14;
  for (const note of notes) {
    y += 16;
    parts.push(text(16, y, note, ' font-size="11" fill="#555"'));
  }
  const height = y + 18;
  return svgDocument(heading, WIDTH, height, parts);
}

/** A picture of some size, in pixels. */
export function svgDocument(
  heading: string,
  width: number,
  height: number,
  parts: readonly string[],
): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12" fill="#222">`,
    `<title>${escapeText(heading)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
