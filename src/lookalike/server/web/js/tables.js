// Tables of labels and figures.

import { html } from "./view.js";

/**
 * A table with a label in the first column and figures in the others; a wide one scrolls by itself.
 * @param title what it is, to a screen reader
 * @param caption what it is, above it
 * @param head of the columns
 * @param rows the cells of each
 * @param texts columns at the beginning that are no figures
 */
export function LabelTable({ title, caption = null, head, rows, texts = 1 }) {
  const kind = (column) => (column < texts ? null : "n");
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${title ?? caption}>
    <table class="full">
      ${caption && html`<caption>${caption}</caption>`}
      <thead>
        <tr>
          ${head.map((each, n) => html`<th scope="col" class=${kind(n)}><bdi>${each}</bdi></th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([first, ...rest]) => html`<tr>
            <th scope="row">${first}</th>
            ${rest.map((each, n) => html`<td class=${kind(n + 1)}>${each}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** A number with what it counts. */
export function Tile({ value, name }) {
  return html`<div class="tile"><b>${value}</b><span>${name}</span></div>`;
}
