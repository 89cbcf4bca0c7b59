/** The story of one artist: its plays over the whole run, and its place in the window that is shown. */

import { ask, newest } from "./ask.js";
import { chart } from "./charts.js";
import { byId, say, setText } from "./dom.js";
import { clock, count, length, ms, plural, sentence, whole } from "./format.js";

const REFRESH_MS = 5000;

/** `onPin(id)`: somebody chose an artist, or null: whoever leads. */
export function story({ onPin }) {
  let pinned = null;
  let artist = null;
  let list = null;
  let first = null;
  let asked = -Infinity;
  const plays = chart(byId("artist-chart"), {
    label: "Plays of the artist",
    series: [{ label: "plays a step", colour: "accent", fill: "bar" }],
    text: count,
    height: 225,
    span: "minutes",
    band: () => (list?.end ? [ms(list.start), ms(list.end)] : null),
  });

  byId("unpin").addEventListener("click", () => pin(null));

  function pin(id) {
    pinned = id;
    byId("unpin").hidden = id === null;
    onPin(id);
    turn();
  }

  function turn() {
    const next = pinned ?? list?.rows[0]?.artist_id ?? null;
    if (next !== artist) {
      artist = next;
      asked = -Infinity;
      say(byId("artist-note"), "");
    }
    describe();
    if (artist !== null && list?.watermark && performance.now() - asked > REFRESH_MS) {
      asked = performance.now();
      fetchStory(artist);
    }
    plays.redraw();
  }

  function describe() {
    if (artist === null) return;
    const place = list?.rows.find((row) => row.artist_id === artist);
    if (place) setText(byId("artist-title"), place.name ?? `artist ${artist}`);
    if (!list?.end) return;
    const window = `${length(list.window_seconds)} to ${clock(list.end)} UTC`;
    setText(byId("artist-rank"), place
      ? `Rank ${place.rank} of ${window}, ${plural(place.plays, "play")}`
      : `Not among the first ${list.rows.length} of ${window}`);
  }

  const fetchStory = newest(async (id) => {
    try {
      first ??= (await ask("/v1/timeline")).first;
      if (first === null) return;
      const told = await ask(`/v1/artists/${id}/timeline`, whole(first, list.watermark));
      if (id !== artist) return;
      setText(byId("artist-title"), told.name ?? `artist ${id}`);
      byId("artist-chart").hidden = false;
      plays.show(told.points.map((point) => ms(point.start)), [told.points.map((point) => point.plays)]);
      say(byId("artist-note"), [`A step is ${told.step_seconds} s; the window that is ranked is shaded.`, sentence(told.note)].filter(Boolean).join(" "));
    } catch (error) {
      if (id !== artist) return;
      if (error.status === 404) setText(byId("artist-title"), `artist ${id}`);
      say(byId("artist-note"), `Its plays can't be had just now: ${error.message}.`);
    }
  });

  return {
    pin,
    /** The list that is shown now. */
    update(shown) {
      list = shown;
      turn();
    },
    get artist() { return artist; },
  };
}
