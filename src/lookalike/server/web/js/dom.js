// Elements without markup: what comes from the server only ever becomes text or an attribute, so that no name
// and no label can be run.

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

const PATHS = {
  before: "M15 5l-7 7 7 7",
  after: "M9 5l7 7-7 7",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16.2 16.2 21 21",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  check: "M5 12.5l4.5 4.5L19 7.5",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01",
  undo: "M8 5 4 9l4 4M4 9h10a5 5 0 0 1 0 10H9",
  open: "M9 5H5v14h14v-4M13 5h6v6M19 5l-9 9",
  filter: "M4 6h16M7 12h10M10 18h4",
  layers: "M12 4 3 9l9 5 9-5zM3 14l9 5 9-5",
  reset: "M5 5v5h5M5.5 10A7 7 0 1 1 5 14",
};

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
