// What one picture was classified as, with its evidence.

import { Anomaly } from "./anomaly.js";
import { useLatest, whyNoChanges } from "./app.js";
import { Corrector } from "./correcting.js";
import { Explanation } from "./explanation.js";
import { isFile } from "./files.js";
import { Cards } from "./finding.js";
import { openImage } from "./hits.js";
import { decimal, percent, t } from "./language.js";
import { LayerButtons, Layers, useLayers } from "./layers.js";
import { Said } from "./notices.js";
import { NewClass } from "./new_class.js";
import { Picture } from "./pictures.js";
import { FileName, keyOf, short, Value } from "./values.js";
import { html } from "./view.js";

/** Bars of the vote that are shown. */
const BARS = 8;

/**
 * A prediction, with its evidence and with what can be done about it.
 * @param found the prediction as the server gives it, or {name, skipped}
 * @param reference of the picture: an id, or a file of the visitor
 * @param by the field of the label
 * @param image details of an image of the collection, whose label can be put right; null for a file
 * @param explain asks the server why, and returns its explanation
 */
export function Prediction({ found, reference, by, image, explain }) {
  const layers = useLayers();
  const { name, neighbours, skipped } = found;
  const shown = { width: 240, reference, eager: true };
  const subject = isFile(reference)
    ? html`<${Picture} image=${null} alt=${name} ...${shown}><${Layers} of=${layers} /><//>`
    : html`<button type="button" class="bare" onclick=${() => openImage(reference)}>
        <${Picture} image=${{ id: reference, name }} ...${shown}><${Layers} of=${layers} /><//>
      </button>`;
  return html`<article class="prediction" aria-label=${short(name, 200)}>
    <div class="subject">
      ${subject}
      <${LayerButtons} of=${layers} />
      <${FileName} name=${name} longest=${200} />
    </div>
    ${skipped
      ? html`<div class="verdict">
          <p class="notice bad"><strong>${t("classify.skipped")}</strong><${Said} text=${skipped} /></p>
        </div>`
      : html`<${Verdict} found=${found} by=${by} image=${image}>
            ${isFile(reference) && html`<${NewClass} reference=${reference} by=${by} found=${found} />`}
            ${neighbours.length > 0 &&
            html`<${Explanation} explain=${explain} layers=${layers} neighbours=${neighbours} />`}
            <${Anomaly} reference=${reference} layers=${layers} />
          <//>
          <section class="evidence">
            <h3>${t("classify.evidence")}</h3>
            ${neighbours.length
              ? html`<${Cards} label=${t("classify.evidence")} images=${neighbours} width=${120} fields=${[by]} />`
              : html`<p class="soft">${t("classify.none")}</p>`}
          </section>`}
  </article>`;
}

function Verdict({ found, by, image, children }) {
  const unknown = found.label === null;
  const copies = found.itself - (image ? 1 : 0);
  return html`<div class="verdict">
    <p class="asked"><bdi>${short(by, 80)}</bdi></p>
    <${Label} found=${found} />
    ${unknown && (found.reason ? html`<${Said} text=${found.reason} />` : html`<p>${t("classify.novotes")}</p>`)}
    ${found.caution && html`<${Said} text=${found.caution} />`}
    <${Figures} found=${found} />
    ${found.votes.length > 0 && html`<${Bars} votes=${found.votes} />`}
    ${found.label_set && html`<${LabelSet} labels=${found.label_set} />`}
    ${copies > 0 && html`<p class="soft">${t("classify.itself", { count: copies })}</p>`}
    ${image && html`<${Truth} image=${image} found=${found} by=${by} />`} ${children}
  </div>`;
}

/** What it is called; a doubtful label is smaller, and has the runner-up beside it. */
function Label({ found: { label, doubtful, confidence, usual, runner_up: runner } }) {
  if (label === null) return html`<h2 class="label unknown">${t("classify.unknown")}</h2>`;
  if (!doubtful) return html`<h2 class="label"><${Value} value=${label} longest=${200} /></h2>`;
  return html`<h2 class="label doubtful">
      <${Value} value=${label} longest=${200} /> <span class="tag warn">${t("classify.doubtful")}</span>
    </h2>
    <p>
      ${runner &&
      html`${t("classify.runner")} <b><${Value} value=${runner.label} longest=${100} /></b> (${percent(runner.share, 0)}). `}
      ${usual !== null && confidence < usual
        ? t("classify.below", { usual: percent(usual) })
        : t("classify.half")}
    </p>`;
}

function Figures({ found }) {
  const { confidence, label, neighbours, share, p_value: p } = found;
  const figure = (name, value, why = null) =>
    html`<div title=${why}>
      <dt>${name}</dt>
      <dd>${value}</dd>
    </div>`;
  const all = neighbours.length;
  return html`<dl class="figures">
    ${
      // Of a picture like no other, the confidence in the first vote says nothing.
      confidence !== null &&
      label !== null &&
      figure(t("classify.confidence"), percent(confidence), t("classify.confidencewhy"))
    }
    ${all > 0 && figure(t("classify.share"), t("classify.of", { count: Math.round(share * all), all }))}
    ${p !== null && figure(t("classify.usual"), decimal(p, 3), t("classify.usualwhy"))}
  </dl>`;
}

function Bars({ votes }) {
  const rest = votes.length - BARS;
  return html`<section class="votes">
    <h3>${t("classify.votes")}</h3>
    <ul role="list">
      ${votes.slice(0, BARS).map(
        ({ label, share }, place) => html`<li>
          <span class="bar-name"><${Value} value=${label} longest=${60} /></span>
          <span class=${`bar ${place ? "" : "first"}`} aria-hidden="true">
            <span style=${{ "--part": String(share) }}></span>
          </span>
          <span class="bar-value">${percent(share, 0)}</span>
        </li>`,
      )}
    </ul>
    ${rest > 0 && html`<p class="soft">${t("rest", { count: rest })}</p>`}
  </section>`;
}

function LabelSet({ labels }) {
  return html`<p>
    ${t("classify.set")}${" "}
    ${labels.length
      ? labels.map((label) => html`<span class="tag"><${Value} value=${label} longest=${60} /></span>`)
      : html`<span class="soft">${t("classify.emptyset")}</span>`}
  </p>`;
}

/** What the collection says the label is, and a way to put it right. */
function Truth({ image, found: { votes }, by }) {
  const { fields } = useLatest(image);
  const [winner] = votes;
  const contradicted = winner && by in fields && keyOf(winner.label) !== keyOf(fields[by]);
  return html`<section class="truth" data-image=${image.id}>
    <h3>${t("classify.truth")}</h3>
    <p class="current">
      ${by in fields ? html`<${Value} value=${fields[by]} longest=${200} />` : t("value.none")}
      ${contradicted && html`<span class="tag warn">${t("classify.contradicted")}</span>`}
    </p>
    <${Corrector}
      id=${image.id}
      field=${by}
      value=${image.fields[by] ?? null}
      label=${whyNoChanges() ? null : t("correct.wrong")}
    />
  </section>`;
}
