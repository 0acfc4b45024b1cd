// The pictures that are searched for, each with its sign.

import { heldFile, isFile } from "./files.js";
import { openImage } from "./hits.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { Picture } from "./pictures.js";
import { pictureTerms } from "./question.js";
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
        html`<${Term} key=${term.reference} term=${term} place=${place} several=${several} />`,
    )}
  </ul>`;
}

function Term({ term: { sign, reference }, place, several }) {
  const file = isFile(reference) ? heldFile(reference) : null;
  const image = isFile(reference) ? null : { id: reference, name: reference };
  const name = short(file ? file.file.name : t("terms.image"), 60);
  const minus = sign < 0 ? "minus" : "";
  const picture =
    (file || image) &&
    html`<${Picture} image=${image} width=${96} reference=${reference} alt=${name} eager />`;
  return html`<li class=${`term ${minus}`}>
    ${(several || minus) &&
    html`<button
      type="button"
      class=${`sign ${minus}`}
      aria-label=${t(minus ? "terms.isminus" : "terms.isplus", { name })}
      onclick=${() => replace(place, `${minus ? "+" : "-"}${reference}`)}
    >
      <${Icon} name=${minus || "plus"} />
    </button>`}
    ${image
      ? html`<button type="button" class="bare" onclick=${() => openImage(reference)}>${picture}</button>`
      : picture}
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
