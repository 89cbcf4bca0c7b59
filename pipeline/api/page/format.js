/** Figures and instants as text. Instants come as ISO 8601 or epoch ms, and are shown in UTC. */

const grouped = new Intl.NumberFormat("en-US");
const tenths = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

export const DASH = "–";
export const count = (n) => (n === null || n === undefined ? DASH : grouped.format(Math.round(n)));
export const rate = (n) => (n === null || n === undefined ? DASH : n < 10 ? tenths.format(n) : grouped.format(Math.round(n)));
export const percent = (share) => (share > 0 && share < 0.0005 ? "<0.1%" : `${tenths.format(share * 100)}%`);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export const ms = (instant) => (typeof instant === "string" ? Date.parse(instant) : instant);
export const iso = (instant) => new Date(instant).toISOString();
export const day = (instant) => (instant === null ? DASH : iso(ms(instant)).slice(0, 10));
export const clock = (instant) => (instant === null ? DASH : iso(ms(instant)).slice(11, 19));
export const precise = (instant) => (instant === null ? DASH : iso(ms(instant)).slice(11, 23));
export const dated = (instant) => (instant === null ? DASH : `${day(instant)} ${clock(instant)}`);

/** "48 s", "3 min 20 s", "2 h 5 min", "3 d 4 h": two units at most. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  const whole = Math.round(Math.abs(seconds));
  const sign = seconds < 0 && whole ? "−" : "";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const from = units.findIndex(([, size]) => whole >= size);
  if (from < 0) return "0 s";
  let left = whole;
  const parts = units.slice(from, from + 2).map(([unit, size]) => {
    const n = Math.floor(left / size);
    left -= n * size;
    return n ? `${n} ${unit}` : "";
  });
  return sign + parts.filter(Boolean).join(" ");
}

/** The length of a window in words that fit before "to 09:22:40". */
export const length = (seconds) => (seconds === 3600 ? "the hour" : `the ${duration(seconds)}`);

/** What the API says in passing, as a sentence; empty where it says nothing. */
export const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}` : "");

const STEPS = 150;
const STEP_MS = 10_000;

/** Parameters of a timeline from one instant to another: about 150 steps, each whole, one at least. */
export function whole(from, to) {
  const [begin, end] = [ms(from), ms(to)];
  const step = STEP_MS * Math.max(1, Math.ceil((end - begin) / STEPS / STEP_MS));
  const first = begin - (begin % step);
  return { from: iso(first), to: iso(Math.max(first + step, end - (end % step))), step: step / 1000 };
}
