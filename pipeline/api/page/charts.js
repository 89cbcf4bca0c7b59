/** Charts over time by uPlot. Each has a legend with its figures as text, and the same as a table on demand. */

import uPlot from "/page/vendor/uPlot.esm.js";
import { el, setText } from "./dom.js";
import { clock, dated, duration } from "./format.js";
import { table } from "./table.js";

const ROWS = 30;
const DECADES = [1, 2, 5].flatMap((n) => Array.from({ length: 10 }, (_, power) => n * 10 ** power)).sort((a, b) => a - b);
const CLOCKS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 6 * 3600, ...[1, 2, 5, 10, 50, 100, 500].map((n) => n * 86400)];
const FONT = '11px "Helvetica Neue", "Liberation Sans", Arial, sans-serif';

const probe = el("span", { hidden: true });

/** What a custom property stands for in the theme of now, as a canvas understands it. */
function colour(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/**
 * A chart in `host`. `series`: {label, colour, dash}; `stacked`: each stands on the ones before it.
 * `band()`: [from, to] in epoch ms to be shaded, or null.
 */
export function chart(host, { label, series, text, stacked = false, height = 150, band = () => null, span = "seconds" }) {
  const values = series.map(() => el("b"));
  const legend = el("ul", { class: "legend", "aria-label": `${label}, the latest figures` });
  series.forEach((one, i) => legend.append(el("li", {}, swatch(one), `${one.label} `, values[i])));
  const canvas = el("div", { class: "canvas", role: "img", "aria-label": `Chart: ${label}. The table below says the same.` });
  const shown = el("div");
  const details = el("details", { ontoggle: () => tabulate() }, el("summary", {}, "As a table"), shown);
  host.replaceChildren(legend, canvas, details);

  let times = [];
  let columns = series.map(() => []);
  let plot = null;

  // Stacked: the whole stack first, then what stands lower painted over it.
  const order = stacked ? series.map((_, i) => series.length - 1 - i) : series.map((_, i) => i);

  function data() {
    if (!stacked) return [times, ...columns];
    const sums = times.map(() => 0);
    const upTo = columns.map((column) => column.map((value, i) => (value === null ? null : (sums[i] += value))));
    return [times, ...order.map((i) => upTo[i])];
  }

  function build() {
    plot?.destroy();
    const axis = { stroke: colour("soft"), font: FONT, ticks: { show: false }, border: { show: false } };
    const grid = { stroke: colour("line"), width: 1 };
    plot = new uPlot({
      ms: 1,
      width: Math.max(200, canvas.clientWidth),
      height,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, points: { show: !stacked } },
      padding: [8, 8, 0, 0],
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, size: 24, space: 76, grid: { show: false }, values: (_, splits) => splits.map((t) => tick(t)) },
        { ...axis, size: text === duration ? 68 : 54, space: 34, grid, incrs: text === duration ? CLOCKS : DECADES, values: (_, splits) => splits.map((v) => text(v)) },
      ],
      series: [{}, ...order.map((i) => ({
        label: series[i].label,
        stroke: colour(series[i].colour),
        fill: stacked || series[i].fill ? colour(series[i].fill ?? series[i].colour) : undefined,
        dash: series[i].dash,
        width: stacked ? 0 : 1.75,
        points: { show: false },
      }))],
      hooks: { drawClear: [shade], setCursor: [() => read()] },
    }, data(), canvas);
  }

  function tick(t) {
    return span === "seconds" ? clock(t) : clock(t).slice(0, 5);
  }

  function shade(u) {
    const ends = band();
    if (!ends) return;
    const [from, to] = ends.map((t) => Math.min(Math.max(u.valToPos(t, "x", true), u.bbox.left), u.bbox.left + u.bbox.width));
    u.ctx.fillStyle = colour("band");
    u.ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
  }

  /** The figures under the cursor, the newest without one. */
  function read() {
    const at = plot?.cursor.idx ?? times.length - 1;
    values.forEach((node, i) => setText(node, text(columns[i][at] ?? null)));
  }

  function tabulate() {
    if (!details.open) return;
    const step = Math.max(1, Math.ceil(times.length / ROWS));
    const rows = times.map((t, i) => [dated(t), ...columns.map((column) => text(column[i]))]);
    const some = rows.filter((_, i) => (rows.length - 1 - i) % step === 0).reverse();
    shown.replaceChildren(table(label, ["Time", ...series.map((one) => one.label)], some));
  }

  new ResizeObserver(() => {
    const width = canvas.clientWidth;
    if (plot && width && width !== plot.width) plot.setSize({ width, height });
  }).observe(canvas);
  addEventListener("themechange", () => requestAnimationFrame(() => plot && build()));

  /** `moments`: epoch ms, ascending; `figures`: a list a series, null where unknown. */
  function show(moments, figures) {
    times = moments;
    columns = figures;
    if (plot) plot.setData(data()); else build();
    read();
    if (details.open && !details.contains(document.activeElement)) tabulate();
  }

  return { show, redraw: () => plot?.redraw(false) };
}

function swatch(one) {
  const node = el("i", { class: one.dash ? "swatch dashed" : "swatch", "aria-hidden": "true" });
  node.style.color = `var(--${one.colour})`;
  return node;
}

/** The last `most` figures of several series, as the page saw them. */
export function history(width, most = 600) {
  const times = [];
  const columns = Array.from({ length: width }, () => []);
  return {
    push(time, figures) {
      if (times.length && time <= times.at(-1)) return;
      times.push(time);
      columns.forEach((column, i) => column.push(figures[i] ?? null));
      if (times.length > most) [times, ...columns].forEach((column) => column.shift());
    },
    get times() { return times; },
    get columns() { return columns; },
  };
}
