// Small drawings that say nothing to a screen reader: the text beside one, or a label, does.

import { html } from "./view.js";

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
  folder: "M3 6h6l2 3h10v10H3z",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  beside: "M4 5h7v14H4zM13 5h7v14h-7z",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  region: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  reset: "M5 5v5h5M5.5 10A7 7 0 1 1 5 14",
};

/** A drawing, by its name. */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
