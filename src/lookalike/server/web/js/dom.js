// Elements without markup: what comes from the server only ever becomes text or an attribute, so that no name
// and no label can be run.

import { PATHS } from "./icons.js";

const PROPERTIES = new Set(["checked", "disabled", "hidden", "indeterminate", "open", "selected", "value"]);
const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 * @param tag its name
 * @param props attributes; those that begin with "on" are listeners; null, undefined and false are left out
 * @param children elements and texts; null, undefined and false are left out
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  // A select has its value only once it has its options.
  put(node, ...children);
  if (tag === "select" && props.value !== undefined) node.value = props.value;
  return node;
}

/** Add children, and leave out those that are null, undefined or false. */
export function put(node, ...children) {
  node.append(...children.flat(2).filter((each) => each !== undefined && each !== null && each !== false));
  return node;
}

/** Put children in the place of those that are there. */
export function fill(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

/** Make a small drawing that says nothing to a screen reader: the text beside it, or a label, does. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

let last = 0;

/** Return an id that no other element has. */
export function fresh(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}

/** Return a control with its label before it, and a unit after it. */
export function labelled(text, control, unit = null) {
  control.id ||= fresh("control");
  return el("span", { class: "choice" }, el("label", { for: control.id }, text), control, unit);
}
