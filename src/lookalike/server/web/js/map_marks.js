// The marks of the map: each label has a colour and a shape, so that nobody has to tell colours apart.

import { html } from "./view.js";

/** Shapes, 10 wide around 0, 0. */
const SHAPES = [
  "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z",
  "M-4.4 -4.4H4.4V4.4H-4.4Z",
  "M0 -5.6 5.4 4H-5.4Z",
  "M0 -6 6 0 0 6 -6 0Z",
  "M0 5.6 5.4 -4H-5.4Z",
  "M-2 -5.6H2V-2H5.6V2H2V5.6H-2V2H-5.6V-2H-2Z",
];

/** Colours in css/tokens.css, --mark-0 and so on. */
const COLOURS = 8;

const paths = SHAPES.map((each) => new Path2D(each));

/** Return the shape of a label by its place; −1, for images without one, has a shape too. */
export function shapeOf(place) {
  return paths[place < 0 ? 0 : place % SHAPES.length];
}

/** Return the colours as they are now, dark or light, and after them that of images without a label. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = Array.from({ length: COLOURS }, (_, n) => style.getPropertyValue(`--mark-${n}`).trim());
  return {
    of: (place) => (place < 0 ? style.getPropertyValue("--soft").trim() : named[place % COLOURS]),
    ink: style.getPropertyValue("--ink").trim(),
    paper: style.getPropertyValue("--card").trim(),
  };
}

/** The mark of a label by its place, as a drawing for the legend. */
export function Mark({ label }) {
  return html`<svg class=${`mark ${label < 0 ? "mark-none" : `mark-${label % COLOURS}`}`} viewBox="-7 -7 14 14" aria-hidden="true">
    <path d=${SHAPES[label < 0 ? 0 : label % SHAPES.length]} />
  </svg>`;
}
