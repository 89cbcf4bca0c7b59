/** The address names what is looked at: #at=…&window=…&artist=…&event=… */

const NAMES = ["at", "window", "artist", "event"];

/** What the address names, null for what it doesn't; what can't be meant is left out. */
export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = Object.fromEntries(NAMES.map((name) => [name, given.get(name) || null]));
  const zoned = found.at && (/(Z|[+-]\d\d:?\d\d)$/i.test(found.at) ? found.at : `${found.at}Z`);
  const at = found.at === null ? NaN : Date.parse(zoned);
  const whole = (text) => (/^\d{1,16}$/.test(text ?? "") && Number.isSafeInteger(Number(text)) ? Number(text) : null);
  // As ask.js has them: text where a number would be rounded.
  const id = (text) => (/^[1-9]\d{15,18}$/.test(text ?? "") ? text : whole(text));
  return { at: Number.isNaN(at) ? null : at, window: whole(found.window) || null, artist: id(found.artist), event: found.event };
}

/** Change some of it, without a step in the browser's history. */
export function write(changes) {
  const given = new URLSearchParams(NAMES.some((name) => location.hash.includes(`${name}=`)) ? location.hash.slice(1) : "");
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) given.delete(name); else given.set(name, value);
  }
  const text = given.toString().replaceAll("%3A", ":");
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}
