/** The live page: one stream of states, shown by its parts; what is asked beside it is asked by the part that shows it. */

import { chart, history } from "./charts.js";
import { announce, byId, say, setText } from "./dom.js";
import { clock, count, dated, duration, iso, ms, rate } from "./format.js";
import { inspector } from "./inspector.js";
import * as link from "./link.js";
import { OUTCOMES, panels } from "./panels.js";
import { ranking } from "./ranking.js";
import { story } from "./story.js";
import { follow } from "./stream.js";

const STAGES = ["classify", "count", "rank", "sink"];
const REFRESH_MS = 5000;
const OLD_SECONDS = 5;

const artist = story({
  onPin: (id) => link.write({ artist: id }),
});
const list = ranking({
  onList(shown) {
    artist.update(shown);
    list.choose(artist.artist);
  },
  onLook: ({ at, window }) => link.write({ at: at === null ? null : iso(at), window }),
  onChoose(id) {
    artist.pin(id);
    list.choose(id);
  },
});
const dedup = inspector({
  onEvent: (id) => link.write({ event: id }),
  onArtist(id) {
    artist.pin(id);
    list.choose(id);
    byId("artist-title").scrollIntoView({ block: "center" });
  },
});

const load = over("load", "Records per second by outcome",
  OUTCOMES.map(({ label, colour }) => ({ label, colour })), rate, { stacked: true },
  (state) => OUTCOMES.map(({ key }) => state.rates[`${key}_per_second`] ?? null));
const lag = over("lag", "Records waiting, by stage",
  [{ colour: "accepted" }, { colour: "duplicates", dash: [6, 3] }, { colour: "late", dash: [2, 3] }, { colour: "invalid", dash: [8, 3, 2, 3] }]
    .map((one, i) => ({ ...one, label: STAGES[i] })), count, {},
  (state) => STAGES.map((stage) => state.lag[stage] ?? null));
const freshness = over("freshness", "How far behind, in event time",
  [{ label: "watermark behind now", colour: "accepted" }, { label: "final behind watermark", colour: "late", dash: [6, 3] }], duration, {},
  (state) => [state.event_lag_seconds, state.freshness.final_behind_seconds]);

/** A chart of what the states said. */
function over(id, label, series, text, more, figures) {
  const shown = chart(byId(id), { label, series, text, ...more });
  const seen = history(series.length);
  return (state) => {
    seen.push(ms(state.at), figures(state));
    shown.show(seen.times, seen.columns);
  };
}

function header(state) {
  setText(byId("run"), state.run);
  document.title = `${state.run} · Listening`;
  const ready = byId("ready");
  setText(ready, state.ready ? "ready" : "not ready");
  ready.dataset.kind = state.ready ? "good" : "waiting";
  setText(byId("watermark"), state.watermark ? `${dated(state.watermark)} UTC` : "none yet");
  const behind = state.event_lag_seconds;
  setText(byId("event-lag"), !state.watermark ? "–" : behind === null ? "none: a replay" : `${duration(behind)} behind now`);
  setText(byId("final-to"), clock(state.freshness.newest_final_end));
  setText(byId("records"), count(state.totals.records));
  setText(byId("rate"), rate(state.rates.records_per_second));
}

/** What is not as it should be, in sentences; empty where all is well. */
function unwell(state) {
  const said = state.ready ? [] : [`The run is not ready: ${state.reasons.join("; ") || "it does not say why"}.`];
  const age = state.age_seconds?.clickhouse ?? 0;
  if (age > OLD_SECONDS) said.push(`ClickHouse is busy: its figures are ${duration(age)} old.`);
  return said.join(" ");
}

let away = false;
let run = null;
let duplicates = null;
let refreshed = 0;

function banner(kind, text) {
  const node = byId("banner");
  // Said once: how long it lasts by now changes every second.
  if (text && (node.hidden || node.dataset.kind !== kind)) announce(text);
  node.dataset.kind = kind;
  say(node, text);
}

follow({
  onState(state) {
    if (run !== null && run !== state.run) location.reload();
    run = state.run;
    banner("waiting", unwell(state));
    if (away) announce(`The store answers again. ${unwell(state)}`);
    away = false;
    document.body.classList.remove("away");
    header(state);
    list.update(state);
    panels(state);
    for (const draw of [load, lag, freshness]) draw(state);
    const now = performance.now();
    if (state.totals.duplicates !== duplicates && (!refreshed || now - refreshed > REFRESH_MS)) {
      duplicates = state.totals.duplicates;
      refreshed = now;
      dedup.refresh();
    }
  },
  onAway(why) {
    away = true;
    document.body.classList.add("away");
    const remedy = run === null ? "" : ` Is it up? listening up --run ${run}`;
    banner("bad", `No news: ${why}. What is shown may be old; trying again.${remedy}`);
    const ready = byId("ready");
    setText(ready, "away");
    ready.dataset.kind = "bad";
  },
});

function go() {
  const wanted = link.read();
  list.look({ at: wanted.at, window: wanted.window });
  artist.pin(wanted.artist);
  if (wanted.event) dedup.find(wanted.event); else if (byId("event").value) dedup.clear();
}
// Not by its address: that names what is looked at.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("ranking").focus();
});
addEventListener("hashchange", go);
go();
