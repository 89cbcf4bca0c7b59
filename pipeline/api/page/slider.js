/** The past of the run: a range over the plays of all artists. Moved, it names an instant; at its end it is live again. */

import { byId, setText } from "./dom.js";
import { clock, dated, day, duration, ms } from "./format.js";

const STEP_MS = 10_000;

export function slider(onMove) {
  const range = byId("past");
  const area = document.querySelector("#sparkline .area");
  const band = document.querySelector("#sparkline .band");
  let first = null;
  let last = null;
  let at = null;
  let shown = null;

  range.addEventListener("input", () => {
    const value = Number(range.value);
    onMove(value >= Number(range.max) ? null : value);
  });

  function place() {
    range.disabled = first === null;
    byId("slider").hidden = first === null;
    if (first === null) return;
    range.min = first;
    range.max = Math.max(first, last - (last - first) % STEP_MS);
    range.step = STEP_MS;
    range.value = at ?? range.max;
    range.setAttribute("aria-valuetext", at === null
      ? `live, ${dated(last)} UTC`
      : `${dated(at)} UTC, ${duration((last - at) / 1000)} before the watermark`);
    const sameDay = day(first) === day(last);
    setText(byId("first"), sameDay ? clock(first) : dated(first));
    setText(byId("last"), sameDay ? clock(last) : dated(last));
    if (shown) {
      const x = (t) => Math.min(1000, Math.max(0, 1000 * (t - first) / Math.max(1, last - first)));
      band.setAttribute("x", x(shown[0]));
      band.setAttribute("width", Math.max(2, x(shown[1]) - x(shown[0])));
    }
  }

  return {
    /** /v1/timeline's answer. */
    draw(timeline) {
      if (timeline.first === null || timeline.watermark === null) return;
      first = ms(timeline.first);
      last = Math.max(first, ms(timeline.watermark));
      const most = Math.max(1, ...timeline.points.map((point) => point.plays));
      const x = (t) => (1000 * (t - first) / Math.max(1, last - first)).toFixed(1);
      const step = timeline.step_seconds * 1000;
      // Steps as they are counted: whole, with a flat top.
      const path = timeline.points.map(({ start, plays }) => {
        const y = (100 - 92 * plays / most).toFixed(1);
        return `L${x(ms(start))} ${y}L${x(Math.min(last, ms(start) + step))} ${y}`;
      });
      area.setAttribute("d", path.length ? `M${x(ms(timeline.points[0].start))} 100${path.join("")}V100Z` : "");
      place();
    },
    /** Where it stands: an instant, or null for live; and the window that is shown. */
    stand(instant, window) {
      at = instant;
      shown = window;
      place();
    },
    advance(watermark) {
      if (first === null || watermark <= last) return;
      last = watermark;
      place();
    },
    get known() { return first !== null; },
  };
}
