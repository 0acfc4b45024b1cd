// What to label next: the images whose labels tell most, each with a way to label it.

import { ask } from "./api.js";
import { app, loadCollections } from "./app.js";
import { Input } from "./controls.js";
import { Corrector } from "./correcting.js";
import { Cards, Finding, Subject } from "./finding.js";
import { jobPath } from "./jobs.js";
import { percent, t } from "./language.js";
import { Answer } from "./notices.js";
import { html, useAnswer } from "./view.js";

export const suggest = {
  kind: "suggest",
  what: "suggestions",
  fieldless: true,
  anyField: true,
  Row: () =>
    html`<${Input} label=${t("suggest.count")} name="count" type="number" chosen=${20} min="1" max="200" required />`,
  asked: (data) => ({ count: Number(data.get("count")) }),
  Show,
};

function Show({ job }) {
  const answer = useAnswer(job.id, (signal) => ask("GET", jobPath(job.id, "suggestions"), { signal }));
  return html`<${Answer} of=${answer}>
    ${({ by, labelled: known, unlabelled: unknown, suggestions }) => html`<p>${t("suggest.summary", { known, unknown })}</p>
      <section class="findings abreast broad box">
        <h2>${t("suggest.title")}</h2>
        <p class="soft">${t("suggest.all")}</p>
        ${suggestions.map((each) => html`<${Suggestion} key=${each.image.id} found=${each} by=${by} />`)}
        ${!suggestions.length && html`<p class="good">${t("suggest.nothing")}</p>`}
      </section>`}
  <//>`;
}

function Suggestion({ found: { image, covers, uncertainty, nearest }, by }) {
  const claim = html`${t("suggest.covers", { count: covers })}
  ${uncertainty !== null &&
  html` <span class="tag">${t("suggest.uncertainty", { share: percent(uncertainty, 0) })}</span>`}`;
  // A field that no image had before is one that the page has to know of.
  const after = () => app.collection.fields.includes(by) || loadCollections();
  return html`<${Finding} claim=${claim} subject=${html`<${Subject} image=${image} fields=${[by]} />`}>
    <${Corrector}
      id=${image.id}
      field=${by}
      value=${image.fields[by] ?? null}
      label=${t("suggest.label")}
      quick
      after=${after}
    />
    ${nearest &&
    html`<h3>${t("suggest.nearest")}</h3>
      <${Cards} label=${t("suggest.nearest")} images=${[nearest]} fields=${[by]} />`}
  <//>`;
}
