/** The run's state as it changes, about once a second: server-sent events, opened again for as long as somebody looks. */

import { ask, parse } from "./ask.js";

const SILENT_MS = 10_000;
const HIDDEN_MS = 60_000;
/** A page in the background lets its connection go: a browser has six for a host, over all of its tabs. */
const WAITS_MS = [500, 1000, 2000, 4000];

export function follow({ onState, onAway }) {
  let source = null;
  let timer = 0;
  let failed = 0;

  function open() {
    close();
    source = new EventSource("/v1/live");
    source.addEventListener("state", (event) => {
      failed = 0;
      expect();
      onState(parse(event.data));
    });
    source.addEventListener("error", again);
    expect();
  }

  function expect() {
    clearTimeout(timer);
    timer = setTimeout(again, SILENT_MS);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  /** The stream's error says nothing of why, a refusal of the state does; where the state comes, that is news, too. */
  async function again() {
    close();
    timer = setTimeout(open, WAITS_MS[Math.min(failed++, WAITS_MS.length - 1)]);
    try {
      onState(await ask("/v1/state"));
    } catch (error) {
      if (failed) onAway(error.message);
    }
  }

  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(close, HIDDEN_MS);
    else if (!source) open();
  });
  open();
}
