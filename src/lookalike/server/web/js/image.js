// All that is known of one image, and what can be done with it.

import { Anomaly } from "./anomaly.js";
import { ask } from "./api.js";
import { app, here, labelField, useLatest, whyNoChanges } from "./app.js";
import { Corrector } from "./correcting.js";
import { Explanation } from "./explanation.js";
import { Card, Grid } from "./hits.js";
import { Icon } from "./icons.js";
import { pause } from "./jobs.js";
import { bytes, moment, t } from "./language.js";
import { useLayers } from "./layers.js";
import { announce, ProblemBox } from "./notices.js";
import { original, Player } from "./pictures.js";
import { partTerm } from "./question.js";
import { go, link, read } from "./route.js";
import { Stage } from "./stage.js";
import { short, Value } from "./values.js";
import { html, useAnswer, useId, useState } from "./view.js";

/** Milliseconds that an image is looked at before more is asked of it: that costs the server. */
const LOOKED_AT = 400;
/** Neighbours that are shown. */
const NEIGHBOURS = 8;

/** An image: its picture, and what is known of it. */
export function About({ image }) {
  const layers = useLayers();
  const latest = useLatest(image);
  return html`<div class="large">
      <${Stage} image=${image} layers=${layers} search=${(part) => searchPart(image.id, part)} />
      ${typeof image.time === "number" && html`<${Player} image=${image} />`}
      <${Anomaly} reference=${image.id} layers=${layers} wait=${LOOKED_AT} />
      ${labelField() !== null && html`<${Evidence} id=${image.id} layers=${layers} />`}
    </div>
    <div class="known">
      <${Actions} image=${image} />
      <${Fields} image=${latest} />
      <${Facts} image=${image} />
      ${Object.keys(image.metadata).length > 0 &&
      html`<details>
        <summary>${t("details.metadata")}</summary>
        <pre dir="auto" tabindex="0">${short(JSON.stringify(image.metadata, null, 2), 100_000)}</pre>
      </details>`}
    </div>
    <${Neighbours} image=${image} />`;
}

/** Why its neighbours name the image as they do, as a layer. */
function Evidence({ id, layers }) {
  const [neighbours, setNeighbours] = useState([]);
  const explain = async (signal) => {
    const json = { by: labelField(), ids: [id], explain: true };
    const { predictions } = await ask("POST", here("classify"), { json, signal });
    setNeighbours(predictions[0].neighbours ?? []);
    return predictions[0].explanation ?? predictions[0];
  };
  return html`<${Explanation} explain=${explain} layers=${layers} neighbours=${neighbours} />`;
}

/** A picture of the visitor, of which nothing is known. */
export function AboutFile({ reference }) {
  const layers = useLayers();
  return html`<div class="large">
    <${Stage} image=${null} reference=${reference} layers=${layers} search=${(part) => searchPart(reference, part)} />
  </div>`;
}

function searchPart(reference, part) {
  const params = new URLSearchParams([["p", partTerm("+", part, reference)]]);
  go({ collection: read().collection, view: "search", params });
}

function Actions({ image: { id } }) {
  const { collection } = read();
  const search = { collection, view: "search", params: new URLSearchParams([["p", `+${id}`]]) };
  const classify = link({ collection, view: "classify", params: new URLSearchParams([["p", id]]) });
  return html`<div class="actions">
    <button type="button" class="primary" onclick=${() => go(search)}>
      <${Icon} name="search" />${t("details.search")}
    </button>
    <a class="button" href=${classify}><${Icon} name="tag" />${t("details.classify")}</a>
    <button type="button" onclick=${() => sum("+", id)}><${Icon} name="plus" />${t("details.add")}</button>
    <button type="button" onclick=${() => sum("-", id)}><${Icon} name="minus" />${t("details.subtract")}</button>
    <a class="button" href=${original(id)} target="_blank" rel="noopener">
      <${Icon} name="open" />${t("details.original")}
    </a>
  </div>`;
}

/** Add the image to what is searched for, or take it away. */
function sum(sign, id) {
  const route = read();
  const params = route.view === "search" ? route.params : new URLSearchParams();
  const others = params.getAll("p").filter((each) => each.slice(1) !== id);
  params.delete("p");
  for (const each of [...others, sign + id]) params.append("p", each);
  params.delete("image");
  go({ collection: route.collection, view: "search", params });
  announce(t(sign === "+" ? "terms.added" : "terms.subtracted"));
}

/** The nearest images, once the image has been looked at for a moment. */
function Neighbours({ image: { id } }) {
  const { answer, error, again } = useAnswer(id, async (signal) => {
    await pause(LOOKED_AT, signal);
    const json = { terms: [{ id, sign: 1 }], k: NEIGHBOURS + 1 };
    return await ask("POST", here("search"), { json, signal });
  });
  if (error) return html`<${ProblemBox} error=${error} again=${again} />`;
  const found = (answer?.hits ?? []).filter((each) => each.id !== id).slice(0, NEIGHBOURS);
  return html`<section class="neighbours">
    <h3>${t("details.neighbours")}</h3>
    <${Grid} label=${t("details.neighbours")} kind="row">
      ${found.map((each) => html`<${Card} key=${each.id} image=${each} width=${96} />`)}
    <//>
  </section>`;
}

function Fields({ image }) {
  const names = [...new Set([...Object.keys(image.fields), ...app.collection.fields])].sort();
  return html`<section class="fields">
    <h3>${t("details.fields")}</h3>
    ${names.length === 0 && html`<p class="soft">${t("details.nofields")}</p>`}
    ${names.map((name) => html`<${Field} key=${name} name=${name} image=${image} />`)}
    ${whyNoChanges() && html`<p class="soft">${whyNoChanges()}</p>`}
  </section>`;
}

function Field({ name, image: { id, fields, corrected, confirmed } }) {
  const [open, setOpen] = useState(false);
  const form = useId();
  return html`<div class="field">
    <span class="field-name" dir="auto">${short(name, 120)}</span>
    <span class="field-value">
      ${name in fields
        ? html`<${Value} value=${fields[name]} longest=${20_000} />`
        : html`<span class="soft">${t("value.none")}</span>`}
      ${corrected &&
      name in corrected &&
      html`<span class="tag note">${t("details.delivered")} <${Value} value=${corrected[name]} longest=${60} /></span>`}
      ${confirmed?.includes(name) &&
      html`<span class="tag note"><${Icon} name="check" />${t("details.confirmed")}</span>`}
    </span>
    ${!whyNoChanges() &&
    html`<button
      type="button"
      class="quiet"
      aria-expanded=${String(open)}
      aria-controls=${form}
      aria-label=${t("correct.open", { field: short(name, 60) })}
      onclick=${() => setOpen(!open)}
    >
      <${Icon} name="edit" />
    </button>`}
    <div class="field-form" id=${form} hidden=${!open}>
      ${open && html`<${Corrector} id=${id} field=${name} value=${fields[name] ?? null} focus />`}
    </div>
  </div>`;
}

function Facts({ image: { id, size, digest, taken } }) {
  return html`<p class="soft facts">
    ${taken && html`<span>${moment(taken)}</span> · `}${bytes(size)} ·${" "}
    <span title=${digest}>SHA-256 ${digest.slice(0, 12)}…</span> ·${" "}
    <span>${t("details.id")} <code>${id}</code></span>
  </p>`;
}
