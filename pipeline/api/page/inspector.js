/** The dedup inspector: the copies of one event, and what was dropped as a duplicate, page by page. */

import { ask } from "./ask.js";
import { byId, el, setText } from "./dom.js";
import { dated, day, precise, sentence } from "./format.js";
import { table } from "./table.js";
import { summary, why } from "./why.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const HINT = "Where the copies of one event lie in the log, what became of each and why.";
const PLATFORMS = ["android", "ios", "desktop", "web", "speaker", "tv", "car", "other"];
const PAGE = 10;

/** `onEvent(id)`: which event is looked at, null for none. `onArtist(id)`: somebody chose one. */
export function inspector({ onEvent, onArtist }) {
  const input = byId("event");
  const says = byId("find-says");
  let asking = null;
  let cursors = [null];
  let next = null;
  let filters = {};

  byId("platform").append(...PLATFORMS.map((name) => el("option", { value: name }, name)));
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    find(input.value.trim());
  });
  byId("forget").addEventListener("click", () => {
    clear();
    input.focus();
  });
  byId("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    filters = { service: byId("service").value.trim(), platform: byId("platform").value };
    turn([null]);
  });
  byId("previous").addEventListener("click", () => turn(cursors.slice(0, -1)));
  byId("next").addEventListener("click", () => turn([...cursors, next]));

  function clear() {
    asking?.abort();
    input.value = "";
    input.removeAttribute("aria-invalid");
    tell(HINT);
    byId("copies").replaceChildren();
    byId("forget").hidden = true;
    onEvent(null);
  }

  function tell(text, wrong = false) {
    setText(says, text);
    says.classList.toggle("wrong", wrong);
    if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
  }

  async function find(id) {
    asking?.abort();
    byId("copies").replaceChildren();
    if (!id) return clear();
    input.value = id;
    byId("forget").hidden = false;
    if (!UUID.test(id)) return tell("That is no event id: it must be a UUID, 32 hexadecimal digits in five groups.", true);
    onEvent(id);
    asking = new AbortController();
    tell("Looking…");
    try {
      const found = await ask(`/v1/plays/${encodeURIComponent(id)}`, {}, asking.signal);
      tell(summary(found.copies));
      byId("copies").replaceChildren(copiesTable(found));
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      tell(error.status === 404 ? sentence(error.message) : `The store can't say just now: ${error.message}. Try again.`, true);
    }
    return undefined;
  }

  function copiesTable({ event_id: id, copies }) {
    const days = new Set(copies.map((copy) => day(copy.played_at)));
    const sameDay = days.size === 1 && copies.every((copy) => days.has(day(copy.appended_at)) && days.has(day(copy.sent_at)));
    const instant = sameDay ? precise : (t) => `${day(t)} ${precise(t)}`;
    const headings = ["Partition", "Offset", "Outcome", "Why", "Service", "Artist", "User", "Played", "Sent", "Appended"];
    const rows = copies.map((copy) => [
      String(copy.partition),
      String(copy.offset),
      el("span", { class: "pill", "data-outcome": copy.outcome }, copy.outcome),
      el("span", {}, why(copy, copies), copy.event_id === id ? "" : el("span", { class: "soft" }, " Event ", eventLink(copy.event_id))),
      `${copy.service}, ${copy.platform}`,
      el("button", { type: "button", class: "link", onclick: () => onArtist(copy.artist_id) }, copy.artist ?? `artist ${copy.artist_id}`),
      String(copy.user_id),
      instant(copy.played_at), instant(copy.sent_at), instant(copy.appended_at),
    ]);
    return table(`Copies of event ${id}, in order of the log`, headings, rows,
      { figures: ["Partition", "Offset", "User"], broad: ["Why"] });
  }

  function eventLink(id) {
    return el("button", { type: "button", class: "link mono", onclick: () => show(id) }, id);
  }

  function show(id) {
    find(id);
    byId("inspector").scrollIntoView({ block: "start" });
    input.focus({ preventScroll: true });
  }

  /** The page behind the last of these cursors. */
  async function turn(path) {
    const where = byId("duplicates");
    try {
      const found = await ask("/v1/duplicates", { ...filters, limit: PAGE, cursor: path.at(-1) });
      cursors = path;
      next = found.next;
      where.replaceChildren(found.rows.length ? duplicatesTable(found.rows) : el("p", { class: "empty" }, none()));
      offerServices(found.rows);
      setText(byId("page-says"), found.rows.length ? `Page ${path.length}` : "");
    } catch (error) {
      where.replaceChildren(el("p", { class: "empty wrong" }, `The duplicates can't be had just now: ${error.message}.`));
      next = null;
    }
    byId("pager").hidden = cursors.length < 2 && !next;
    byId("previous").disabled = cursors.length < 2;
    byId("next").disabled = !next;
    return undefined;
  }

  function none() {
    return filters.service || filters.platform ? "No duplicates of that service and platform." : "Nothing was dropped as a duplicate yet.";
  }

  function offerServices(rows) {
    const list = byId("services");
    const known = new Set([...list.options].map((option) => option.value));
    for (const { service } of rows) {
      if (!known.has(service)) {
        known.add(service);
        list.append(el("option", { value: service }));
      }
    }
  }

  function duplicatesTable(rows) {
    return table("Records that were dropped as duplicates",
      ["Event", "Partition", "Offset", "First at", "Service", "Platform", "Country", "Played", "Sent"],
      rows.map((row) => [
        eventLink(row.event_id), String(row.partition), String(row.offset), String(row.first_offset),
        row.service, row.platform, row.country, dated(row.played_at), dated(row.sent_at),
      ]),
      { figures: ["Partition", "Offset", "First at"], broad: ["Event"] });
  }

  return {
    find,
    clear,
    /** The first page anew, where it is the one that is shown. */
    refresh() {
      const busy = byId("duplicates").contains(document.activeElement);
      if (cursors.length === 1 && !busy) turn([null]);
    },
  };
}
