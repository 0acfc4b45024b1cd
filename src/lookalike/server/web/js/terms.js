// The pictures that are searched for, each with its sign.

import { heldFile, isFile } from "./files.js";
import { openImage } from "./hits.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { Picture, thumbnail } from "./pictures.js";
import { partTerm, pictureTerms } from "./question.js";
import { change, go, read } from "./route.js";
import { short } from "./values.js";
import { html } from "./view.js";

/** The pictures of a question, with buttons to turn their signs and to take them out. */
export function Terms({ params }) {
  const terms = pictureTerms(params);
  const several = terms.length > 1 || Boolean(params.get("q"));
  if (!terms.length) return null;
  return html`<ul class="terms" aria-label=${t("terms.label")} role="list">
    ${terms.map(
      (term, place) =>
        html`<${Term} key=${partTerm("", term.part, term.reference)} term=${term} place=${place} several=${several} />`,
    )}
  </ul>`;
}

function Term({ term: { sign, reference, part }, place, several }) {
  const file = isFile(reference) ? heldFile(reference) : null;
  const image = isFile(reference) ? null : { id: reference, name: reference };
  const name = short(file ? file.file.name : t("terms.image"), 60);
  const minus = sign < 0 ? "minus" : "";
  const picture =
    (file || image) &&
    (part
      ? html`<${PartOf} address=${file ? file.url : thumbnail(reference, 128)} part=${part} name=${name} />`
      : html`<${Picture} image=${image} width=${96} reference=${reference} alt=${name} eager />`);
  const turned = partTerm(minus ? "+" : "-", part, reference);
  return html`<li class=${`term ${minus}`}>
    ${(several || minus) &&
    html`<button
      type="button"
      class=${`sign ${minus}`}
      aria-label=${t(minus ? "terms.isminus" : "terms.isplus", { name })}
      onclick=${() => replace(place, turned)}
    >
      <${Icon} name=${minus || "plus"} />
    </button>`}
    ${picture &&
    html`<button type="button" class="bare" title=${t("terms.look")} onclick=${() => openImage(reference)}>
      ${picture}
    </button>`}
    ${file &&
    html`<bdi class="name">${name}</bdi>
      <a
        class="button quiet"
        href=${classifyLink(reference)}
        aria-label=${t("details.classify")}
        title=${t("details.classify")}
        ><${Icon} name="tag"
      /></a>`}
    <button
      type="button"
      class="quiet"
      aria-label=${t("terms.remove", { name })}
      onclick=${() => replace(place, null)}
    >
      <${Icon} name="close" />
    </button>
  </li>`;
}

/** A picture with the part of it that is meant. */
function PartOf({ address, part: { left, top, right, bottom }, name }) {
  const sides = { left, top, width: right - left, height: bottom - top };
  const style = Object.fromEntries(Object.entries(sides).map(([side, each]) => [side, `${100 * each}%`]));
  return html`<span class="framed">
    <img src=${address} alt=${t("terms.part", { name })} draggable=${false} />
    <span class="region" style=${style}></span>
  </span>`;
}

function classifyLink(reference) {
  return `#/${encodeURIComponent(read().collection ?? "")}/classify?${new URLSearchParams([["p", reference]])}`;
}

function replace(place, term) {
  const all = read().params.getAll("p");
  all.splice(place, 1, ...(term ? [term] : []));
  change({ p: all, image: null });
}

/** Search from one image alone. */
export function searchFrom(id) {
  go({ ...read(), view: "search", tab: null, params: new URLSearchParams([["p", `+${id}`]]) });
}

/** Add an image to what is searched for, or take it away. */
export function addTerm(sign, id) {
  const others = read()
    .params.getAll("p")
    .filter((each) => each.slice(1) !== id);
  change({ p: [...others, sign + id], image: null });
}
