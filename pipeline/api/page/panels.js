/** What the state says beside the list: outcomes, duplicates, the dead-letter queue, partitions. */

import { byId, el, setText } from "./dom.js";
import { DASH, count, dated, duration, ms, plural } from "./format.js";
import { barred, bars, table } from "./table.js";

export const OUTCOMES = [
  { key: "accepted", label: "accepted", hint: "counted", colour: "accepted" },
  { key: "skipped", label: "skipped", hint: "played too shortly", colour: "skipped" },
  { key: "duplicates", label: "duplicates", hint: "dropped", colour: "duplicates" },
  { key: "late", label: "late", hint: "stored, not counted", colour: "late" },
  { key: "suspect", label: "suspect", hint: "another service's report, left out", colour: "suspect" },
  { key: "invalid", label: "invalid", hint: "refused", colour: "invalid" },
];
const KINDS = {
  retry: ["retry", "a producer's, sent once"],
  resent: ["resent", "by the client, soon after"],
  replayed: ["replayed", "much later"],
  cross_service: ["cross-service", "reported by another, under another id"],
  unknown_first: ["of a skipped one", "the first isn't stored"],
};

export function panels(state) {
  fill("outcomes", bars(OUTCOMES.map((one) => ({ ...one, count: state.totals[one.key] ?? 0 }))), state.totals);
  const kinds = state.duplicates.map(({ kind, count: n }) =>
    ({ label: (KINDS[kind] ?? [kind])[0], hint: KINDS[kind]?.[1], count: n, colour: kind === "cross_service" ? "suspect" : "duplicates" }));
  fill("kinds", kinds.some((kind) => kind.count) ? bars(kinds) : empty("Nothing came twice."), state.duplicates);
  const reasons = Object.entries(state.dlq.reasons ?? {}).sort((a, b) => b[1] - a[1]);
  fill("dlq", reasons.length
    ? bars(reasons.map(([label, n]) => ({ label, count: n, colour: "invalid" })))
    : empty(state.dlq.records ? `${plural(state.dlq.records, "record")} in it.` : "Nothing was refused."), state.dlq);
  const { newest_window_end: newest, newest_final_end: final, final_behind_seconds: behind } = state.freshness;
  for (const [id, text] of [
    ["newest-window", newest ? `${dated(newest)} UTC` : "none yet"], ["newest-final", final ? `${dated(final)} UTC` : "none yet"],
    ["final-behind", duration(behind)], ["ticks", count(state.totals.ticks)],
  ]) setText(byId(id), text);
  partitions(state);
}

const drawn = {};

/** Only what changed is drawn anew: somebody may be reading it. */
function fill(id, node, of) {
  const text = JSON.stringify(of);
  if (drawn[id] === text) return;
  drawn[id] = text;
  byId(id).replaceChildren(node);
}

const empty = (text) => el("p", { class: "empty" }, text);

function partitions(state) {
  const all = state.partitions;
  if (!all.length) {
    fill("partitions", empty("No partition has sent anything yet."), []);
    setText(byId("skew"), "");
    return;
  }
  const most = Math.max(1, ...all.map((one) => one.records));
  const records = all.reduce((sum, one) => sum + one.records, 0);
  const behind = Math.max(...all.map((one) => (one.watermark ? ms(one.watermark) : 0)));
  setText(byId("skew"), records ? `the busiest has ${(most * all.length / records).toFixed(2)}× its even share` : "");
  fill("partitions", table("Partitions of playback-events",
    ["Partition", "Records", "Accepted", "Duplicates", "Lag", "Watermark", "Behind the first"],
    all.map((one) => [
      String(one.partition), barred(count(one.records), one.records / most), count(one.accepted), count(one.duplicates),
      count(one.lag), dated(one.watermark), one.watermark ? duration((behind - ms(one.watermark)) / 1000) : DASH,
    ])), all);
}
