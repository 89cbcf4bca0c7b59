/** Which list is shown: the run's own window as it comes with the state, or what is asked for: another length, another instant. */

import { ask, newest } from "./ask.js";
import { announce, byId, el, say, setText } from "./dom.js";
import { clock, dated, day, duration, iso, length, ms, sentence, whole } from "./format.js";
import { race } from "./race.js";
import { slider } from "./slider.js";

const K = 15;
const LENGTHS = [600, 3600];
const TIMELINE_MS = 5000;

/** `onList(list, at)`: what is shown now. `onLook({at, window})`: what somebody chose. */
export function ranking({ onList, onLook, onChoose }) {
  const rows = race(onChoose);
  const select = byId("window");
  const live = byId("live");
  const bar = slider((instant) => look({ at: instant }));
  let state = null;
  let at = null;
  let seconds = null;
  let shown = null;
  let drawn = 0;
  let leader = null;
  let first = null;

  select.addEventListener("change", () => look({ window: Number(select.value) }));
  live.addEventListener("click", () => {
    look({ at: null });
    announce("Live again.");
  });

  function look(wanted) {
    if ("at" in wanted) at = wanted.at;
    if ("window" in wanted) seconds = wanted.window === state?.top.window_seconds ? null : wanted.window;
    onLook({ at, window: seconds });
    settle();
  }

  /** Show what is to be shown, asking for it where it isn't at hand. */
  function settle() {
    live.setAttribute("aria-pressed", String(at === null));
    bar.stand(at, shown && [ms(shown.start ?? 0), ms(shown.end ?? 0)]);
    if (!state) return;
    if (at === null && seconds === null) show(state.top, null);
    else fetchList(at, seconds);
  }

  const fetchList = newest(async (instant, window) => {
    const settled = shown?.final && shown.at === instant && shown.window_seconds === (window ?? state.top.window_seconds);
    if (settled && instant !== null) return;
    try {
      const list = await ask("/v1/top-artists", {
        k: K, window: window ?? state.top.window_seconds, at: instant === null ? null : iso(instant),
      });
      if (instant === at && window === seconds) show(list, instant);
    } catch (error) {
      if (instant === at && window === seconds) say(byId("note"), `This list can't be had just now: ${error.message}.`);
    }
  });

  function show(list, instant) {
    const another = !shown || shown.window_seconds !== list.window_seconds;
    rows.show(list.rows, { moves: !another, marks: !another && shown.at === null && instant === null });
    shown = { ...list, at: instant };
    describe(list, instant);
    bar.stand(at, list.end ? [ms(list.start), ms(list.end)] : null);
    offer(list.window_seconds);
    onList(list, instant);
    if (instant === null && leader !== null && list.rows[0] && list.rows[0].artist_id !== leader) {
      announce(`${list.rows[0].name ?? `Artist ${list.rows[0].artist_id}`} leads now.`);
    }
    if (instant === null) leader = list.rows[0]?.artist_id ?? null;
  }

  function describe(list, instant) {
    const finality = byId("finality");
    finality.hidden = !list.rows.length;
    finality.dataset.kind = list.final ? "good" : "waiting";
    setText(finality, list.final ? "final" : "provisional");
    finality.title = list.final ? "Nothing that counts can still come" : "Plays of this window may still come";
    const when = list.end && `${dated(list.start)} to ${day(list.start) === day(list.end) ? clock(list.end) : dated(list.end)} UTC`;
    setText(byId("span"), !list.end ? "There is no window yet."
      : instant === null ? `Now: ${length(list.window_seconds)}, ${when}`
      : `As it was at ${dated(instant)} UTC: ${length(list.window_seconds)}, ${when}`);
    byId("ranking").classList.toggle("past", instant !== null);
    if (byId("race-empty").hidden !== list.rows.length > 0) byId("race-empty").replaceChildren(...nothing(instant));
    byId("race-empty").hidden = list.rows.length > 0;
    say(byId("note"), sentence(list.note));
  }

  function nothing(instant) {
    if (instant !== null || state.watermark) return ["No play counts in this window."];
    return ["Nobody has played anything yet. Let something happen: ",
      el("code", {}, `listening scenario run album-release --speed 60 --run ${state.run}`)];
  }

  function offer(current) {
    const runs = state.top.window_seconds;
    const lengths = [...new Set([...LENGTHS, runs, current])].sort((a, b) => a - b);
    if (lengths.join() !== select.dataset.lengths) {
      select.dataset.lengths = lengths.join();
      select.replaceChildren(...lengths.map((s) =>
        el("option", { value: s }, s === runs ? `${duration(s)} (the run's)` : duration(s))));
    }
    if (document.activeElement !== select) select.value = seconds ?? runs;
  }

  const drawTimeline = newest(async () => {
    try {
      first ??= (await ask("/v1/timeline")).first;
      if (first !== null) bar.draw(await ask("/v1/timeline", whole(first, state.watermark)));
    } catch {
      drawn = 0; // with the next state, then
    }
  });

  return {
    look,
    update(next) {
      state = next;
      const now = performance.now();
      if (next.watermark && (!drawn || now - drawn > TIMELINE_MS)) {
        drawn = now;
        drawTimeline();
      }
      if (next.watermark) bar.advance(ms(next.watermark));
      settle();
    },
    choose: rows.choose,
  };
}
