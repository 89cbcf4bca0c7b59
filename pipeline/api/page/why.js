/** What became of a copy and why, in words. Pure. */

import { duration, ms, plural } from "./format.js";

const apart = (a, b) => duration(Math.abs(ms(a) - ms(b)) / 1000);

const repeats = (copy) => copy.first_offset !== copy.offset;

/** `copies`: all of them, in order of the log. */
export function why(copy, copies) {
  const first = copies.find((other) => other.partition === copy.partition && other.offset === copy.first_offset);
  const report = first
    ? `${first.service} had reported this listen at offset ${copy.first_offset}, played ${apart(copy.played_at, first.played_at)} apart, under another id.`
    : `another service had reported this listen at offset ${copy.first_offset}, under another id.`;
  switch (copy.outcome) {
    case "accepted":
      return repeats(copy) ? `Counted, but marked: ${report}` : "Counted: the first sighting of this play.";
    case "late":
      return "Stored, but not counted: it came later than the grace allows.";
    case "suspect":
      return `Not counted: ${report}`;
    case "duplicate":
      if (!first) return `Dropped: its id was seen before at offset ${copy.first_offset}, a play too short to be counted, so it isn't stored.`;
      if (copy.sent_at === first.sent_at) return `Dropped: the very record of offset ${copy.first_offset} once more, a producer's retry.`;
      return `Dropped: the client sent offset ${copy.first_offset} again, ${apart(copy.sent_at, first.sent_at)} after.`;
    default:
      return copy.outcome;
  }
}

/** The whole of it in a sentence. */
export function summary(copies) {
  const parts = [
    ["counted", (copy) => copy.outcome === "accepted"],
    ["marked as another service's report", (copy) => copy.outcome === "accepted" && repeats(copy)],
    ["dropped as duplicate", (copy) => copy.outcome === "duplicate"],
    ["left out as another service's report", (copy) => copy.outcome === "suspect"],
    ["late", (copy) => copy.outcome === "late"],
  ].map(([what, fits]) => [copies.filter(fits).length, what]);
  const said = parts.filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(", ");
  return `${plural(copies.length, "record")} in the log: ${said}.`;
}
