/** The list as a race: rows keep their identity, and move to their new places. */

import { byId, el, setText } from "./dom.js";
import { count } from "./format.js";

const MOVE_MS = 600;
const MARK_MS = 5000;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function race(onChoose) {
  const list = byId("race");
  const rows = new Map();

  function make(id) {
    const parts = {
      rank: el("span", { class: "rank" }),
      name: el("span", { class: "name" }),
      moved: el("span", { class: "moved" }),
      plays: el("span", { class: "plays" }),
    };
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    const button = el("button", { type: "button", onclick: () => onChoose(id) },
      bar, parts.rank, parts.name, parts.moved, parts.plays, el("span", { class: "unseen" }, " plays"));
    return { ...parts, bar, button, item: el("li", { "data-artist": id }, button), was: null, marked: 0 };
  }

  /** `places`: {rank, artist_id, name, plays} by rank. `moves`: rows travel; `marks`: it is said how far, for some seconds. */
  function show(places, { moves, marks }) {
    const before = new Map(moves && !calm.matches ? [...rows].map(([id, row]) => [id, row.item.offsetTop]) : []);
    const most = Math.max(1, ...places.map((place) => place.plays));
    const focused = document.activeElement;
    const kept = new Set(places.map((place) => place.artist_id));
    for (const [id, row] of rows) {
      if (kept.has(id)) continue;
      row.item.remove();
      rows.delete(id);
    }
    places.forEach((place, index) => {
      let row = rows.get(place.artist_id);
      if (!row) rows.set(place.artist_id, row = make(place.artist_id));
      setText(row.rank, String(place.rank));
      setText(row.name, place.name ?? `artist ${place.artist_id}`);
      setText(row.plays, count(place.plays));
      row.bar.style.transform = `scaleX(${place.plays / most})`;
      mark(row, place.rank, marks);
      if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index] ?? null);
    });
    if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
    for (const [id, top] of before) {
      const row = rows.get(id);
      const by = row ? top - row.item.offsetTop : 0;
      if (by) {
        row.item.animate(
          [{ transform: `translateY(${by}px)` }, { transform: "none" }],
          { duration: MOVE_MS, easing: "cubic-bezier(.2,.8,.2,1)" },
        );
      }
    }
  }

  function mark(row, rank, marks) {
    const now = performance.now();
    if (marks && row.was !== null && row.was !== rank) {
      const up = rank < row.was;
      setText(row.moved, `${up ? "▲" : "▼"}${Math.abs(rank - row.was)}`);
      row.moved.dataset.to = up ? "up" : "down";
      row.marked = now;
    } else if (row.marked && (!marks || now - row.marked > MARK_MS)) {
      setText(row.moved, "");
      row.marked = 0;
    }
    row.was = rank;
  }

  function choose(id) {
    for (const [artist, row] of rows) {
      if (artist === id) row.button.setAttribute("aria-current", "true");
      else row.button.removeAttribute("aria-current");
    }
  }

  return { show, choose };
}
