/** Tables that stay tables for screen readers where a narrow screen shows their rows as blocks; and lists with bars. */

import { el } from "./dom.js";
import { count, percent } from "./format.js";

const INSTANTS = ["Time", "Played", "Sent", "Appended", "Watermark"];

/** `rows`: lists of text or nodes. `figures`: columns of figures; `broad`: those that need a narrow screen's whole width. */
export function table(caption, headings, rows, { figures = headings.slice(1), broad = [] } = {}) {
  const kind = (i) => {
    if (figures.includes(headings[i])) return "figure";
    if (broad.includes(headings[i])) return "broad";
    return INSTANTS.includes(headings[i]) ? "instant" : null;
  };
  return el("table", { role: "table" },
    el("caption", { class: "unseen" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
      ...headings.map((heading, i) => el("th", { scope: "col", role: "columnheader", class: kind(i) }, heading)))),
    el("tbody", { role: "rowgroup" }, ...rows.map((cells) => el("tr", { role: "row" },
      ...cells.map((cell, i) => el("td", { role: "cell", class: kind(i), "data-label": headings[i] }, cell))))));
}

/** A figure over a bar of its share of the greatest. */
export function barred(text, share) {
  const bar = el("span", { class: "bar", "aria-hidden": "true" });
  bar.style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
  return el("span", { class: "barred" }, bar, el("span", {}, text));
}

/** `entries`: {label, hint, count, colour}; their shares of all of them. */
export function bars(entries) {
  const all = entries.reduce((sum, entry) => sum + entry.count, 0) || 1;
  return el("ul", { class: "bars" }, ...entries.map((entry) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.transform = `scaleX(${entry.count / all})`;
    bar.style.backgroundColor = `var(--${entry.colour ?? "accent"})`;
    return el("li", {},
      el("span", { class: "label" }, entry.label, entry.hint ? el("span", { class: "soft" }, ` ${entry.hint}`) : null),
      el("span", { class: "plays" }, count(entry.count)),
      el("span", { class: "soft share" }, entry.count ? percent(entry.count / all) : ""),
      el("span", { class: "gauge" }, bar));
  }));
}
