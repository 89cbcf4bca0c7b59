/** What became of a copy and why, in words. Pure. */

import { duration, ms } from "./format.js";

const apart = (a, b) => duration(Math.abs(ms(a) - ms(b)) / 1000);

/** `copies`: all of them, in order of the log. */
export function why(copy, copies) {
  const first = copies.find((other) => other.partition === copy.partition && other.offset === copy.first_offset);
  switch (copy.outcome) {
    case "accepted":
      return "Counted: the first sighting of this play.";
    case "late":
      return "Stored, but not counted: it came later than the grace allows.";
    case "suspect":
      return first
        ? `Marked: ${first.service} had reported this listen at offset ${copy.first_offset}, played ${apart(copy.played_at, first.played_at)} apart, under another id.`
        : `Marked: another service had reported this listen at offset ${copy.first_offset}, under another id.`;
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
  const counted = copies.filter((copy) => copy.outcome === "accepted").length;
  const dropped = copies.filter((copy) => copy.outcome === "duplicate").length;
  const marked = copies.filter((copy) => copy.outcome === "suspect").length;
  const late = copies.filter((copy) => copy.outcome === "late").length;
  const parts = [[counted, "counted"], [dropped, "dropped as duplicate"], [marked, "marked as another service's report"], [late, "late"]];
  const said = parts.filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(", ");
  return `${copies.length} ${copies.length === 1 ? "copy" : "copies"} in the log: ${said}.`;
}
