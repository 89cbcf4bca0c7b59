/** Elements by plain calls. Text is always text: nothing on this page parses markup. */

export const byId = (id) => document.getElementById(id);

/** An element; names that begin with "on" are listeners, null and false leave an attribute out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Only where it differs: a reader of the screen is not told again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function say(node, text) {
  node.hidden = !text;
  setText(node, text || "");
}

/** Said aloud by screen readers, politely: what somebody asked for, never the run of figures. */
export function announce(text) {
  setText(byId("announcer"), text);
}
