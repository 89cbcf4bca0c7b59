/** Questions to the API. */

/** A refusal in a sentence. `status` 0: nobody answered. */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** JSON as an object, ids as text where a number would be rounded: they have up to 19 digits. */
export function parse(text) {
  return JSON.parse(text.replace(/("(?:artist|user|track)_id":)(\d{16,})/g, '$1"$2"'));
}

/** The answer as an object; parameters that are null, undefined or empty are left out. Throws Refusal, or AbortError. */
export async function ask(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  let response;
  try {
    response = await fetch(path + query, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "the store does not answer");
  }
  let body = null;
  try { body = parse(await response.text()); } catch (error) { if (error.name === "AbortError") throw error; }
  if (!response.ok) throw new Refusal(response.status, body?.detail || `HTTP ${response.status}`);
  if (body === null) throw new Refusal(response.status, "the answer is no JSON: does the store run there?");
  return body;
}

/** One question at a time, always the newest: what was asked for meanwhile replaces what waits. */
export function newest(work) {
  let waiting = null;
  let busy = false;
  return async function wanted(...args) {
    waiting = args;
    if (busy) return;
    busy = true;
    try {
      while (waiting) {
        const now = waiting;
        waiting = null;
        await work(...now);
      }
    } finally {
      busy = false;
    }
  };
}
