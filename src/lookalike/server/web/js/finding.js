// A finding: what is claimed of an image, beside the images that speak for it.

import { Chosen } from "./chosen.js";
import { Gallery } from "./gallery.js";
import { Card, Grid } from "./hits.js";
import { t } from "./language.js";
import { listed } from "./listing.js";
import { useSelection } from "./selection.js";
import { html, useMemo } from "./view.js";

/**
 * A finding.
 * @param claim what is found
 * @param subject the image that it is about, beside which the evidence stands; null: it takes all of the width
 * @param children the evidence
 */
export function Finding({ claim, subject = null, children }) {
  return html`<article class=${`finding ${subject ? "" : "whole"}`}>
    <p class="claim">${claim}</p>
    ${subject
      ? html`<div class="side">${subject}</div>
          <div class="side">${children}</div>`
      : children}
  </article>`;
}

/** The image that a finding is about, with some of its fields; of `fields` null, with its first ones. */
export function Subject({ image, fields = null, width = 140 }) {
  return html`<${Cards} label=${t("finding.image")} images=${[image]} kind="row subject" width=${width} fields=${fields} />`;
}

/** Images in a row, with some of their fields. */
export function Cards({ label, images, fields = null, width = 110, kind = "row" }) {
  return html`<${Grid} label=${label} kind=${kind}>
    ${images.map((each) => html`<${Card} key=${each.id} image=${each} width=${width} fields=${fields} />`)}
  <//>`;
}

/** Images of which some can be chosen; `note` gives a figure of each. */
export function Choice({ label, images, fields = null, note = null }) {
  const list = useMemo(() => listed(images), [images]);
  const selection = useSelection(label, list);
  return html`<${Gallery}
      label=${label}
      list=${list}
      selection=${selection}
      least=${130}
      caption=${note ? 84 : 62}
      kind="browsed"
      fields=${fields}
      note=${note}
    />
    <${Chosen} selection=${selection} list=${list} />`;
}
