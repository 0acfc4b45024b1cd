// What an audit finds, each with the images that speak for it.

import { whyNoChanges } from "./app.js";
import { Around, changeImage, Corrector } from "./correcting.js";
import { Cards, Choice, Finding, Subject } from "./finding.js";
import { Icon } from "./icons.js";
import { decimal, number, percent, t } from "./language.js";
import { announce, ProblemBox, Said } from "./notices.js";
import { LabelTable } from "./tables.js";
import { short, textOf, Value } from "./values.js";
import { html, useMemo, useState } from "./view.js";

/** Of an audit by a field, that is shown beside its images; of one without, their first ones. */
function fieldsOf(by, ...more) {
  return by === null ? null : [by, ...more];
}

/** A label that its neighbours contradict, with buttons to confirm or correct it; `settled` is called then. */
export function Suspect({ found, summary: { by }, settled }) {
  const claim = html`${t("finding.is")} <b><${Value} value=${found.label} longest=${60} /></b> · ${t("finding.suggested")}${" "}
    <b class="bad"><${Value} value=${found.suggested} longest=${60} /></b>${" "}
    <span class="tag" title=${t("finding.scorewhy")}>${t("finding.score", { score: decimal(found.score, 3) })}</span>`;
  return html`<${Finding} claim=${claim} subject=${html`<${Subject} image=${found.image} fields=${[by]} />`}>
    <${Cards} label=${t("classify.evidence")} images=${found.neighbours} fields=${[by]} />
    ${found.gone
      ? html`<p class="good" role="status"><${Icon} name="check" />${t("audit.gone")}</p>`
      : whyNoChanges()
        ? html`<p class="soft">${whyNoChanges()}</p>`
        : html`<${Decision} found=${found} by=${by} settled=${settled} />`}
  <//>`;
}

function Decision({ found, by, settled }) {
  const [state, setState] = useState(null);
  const [other, setOther] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const { id, fields } = found.image;
  const act = (changes, next, said) => async () => {
    setBusy(true);
    setError(null);
    try {
      await changeImage(id, changes);
      setState(next);
      if (said) announce(said);
      settled(id);
    } catch (problem) {
      setError(problem);
      if (problem.status === undefined) throw problem;
    } finally {
      setBusy(false);
    }
  };
  const good = (children) => html`<p class="good"><${Icon} name="check" />${children}</p>`;
  const told = error && html`<${ProblemBox} error=${error} />`;
  const shown = state ?? (found.confirmed ? "confirmed" : found.changed ? "changed" : "open");
  if (shown === "confirmed") return html`<div class="decision">${good(t("audit.confirmed"))}</div>`;
  if (shown === "changed") {
    const now = html`<${Value} value=${fields[by] ?? null} longest=${60} />`;
    return html`<div class="decision">${good(html`<${Around} text=${t("audit.changed")}>${now}<//>`)}</div>`;
  }
  if (shown === "corrected") {
    const was = html`<${Value} value=${found.label} longest=${60} />`;
    const undo = act({ fields: { [by]: found.label } }, "open");
    return html`<div class="decision">
      ${good(html`<${Around} text=${t("correct.done")}>${was}<//>
        <button type="button" class="quiet" disabled=${busy} onclick=${undo}>
          <${Icon} name="undo" />${t("correct.undo")}
        </button>`)}
      ${told}
    </div>`;
  }
  const [before, after] = [found.label, found.suggested].map((each) => short(textOf(each), 100));
  const right = act({ confirm: [by] }, "confirmed", t("audit.confirmed"));
  const correct = act({ fields: { [by]: found.suggested } }, "corrected", t("correct.said", { now: after, before }));
  return html`<div class="decision">
    <div class="actions">
      <button type="button" disabled=${busy} onclick=${right}><${Icon} name="check" />${t("audit.right")}</button>
      <button type="button" class="primary" disabled=${busy} onclick=${correct}>
        <${Around} text=${t("audit.correct")}><${Value} value=${found.suggested} longest=${40} /><//>
      </button>
      <button type="button" class="quiet" aria-expanded=${String(other)} onclick=${() => setOther(!other)}>
        ${t("audit.other")}
      </button>
    </div>
    ${other &&
    html`<${Corrector} id=${id} field=${by} value=${found.label} focus after=${() => settled(id)} />`}
    ${told}
  </div>`;
}

/** A group of images that show the same thing. */
export function Duplicates({ found, summary: { by, split } }) {
  const notes = ["identical", "disagree", "straddle"].filter((each) => found[each]);
  const claim = html`${t("audit.alike", { count: found.count, similarity: decimal(found.similarity, 3) })}
  ${notes.map((each) => html` <span class="tag warn">${t(`audit.${each}`)}</span>`)}`;
  return html`<${Finding} claim=${claim}>
    <${Choice}
      label=${t("audit.duplicates")}
      images=${found.images}
      fields=${fieldsOf(by, ...(split ? [split] : []))}
    />
  <//>`;
}

/** An image that is unlike all others, with the one that is nearest. */
export function Outlier({ found, summary: { by } }) {
  const fields = fieldsOf(by);
  const claim = html`${found.label !== null && html`<b><${Value} value=${found.label} longest=${60} /></b> `}
    <span class="tag">${t("audit.deviation", { deviation: decimal(found.deviation, 1) })}</span>`;
  return html`<${Finding} claim=${claim} subject=${html`<${Subject} image=${found.image} fields=${fields} />`}>
    <p class="soft">${t("audit.nearest")}</p>
    <${Cards}
      label=${t("audit.nearest")}
      images=${found.nearest ? [found.nearest] : []}
      width=${130}
      fields=${fields}
    />
  <//>`;
}

/** Pictures of poor quality, those of a kind together, each with the measure that says so. */
export function PoorPictures({ some, summary: { by, pictures } }) {
  return pictures.kinds
    .map((kind) => ({ ...kind, some: some.filter((each) => each.kind === kind.kind) }))
    .filter((each) => each.some.length > 0)
    .map((each) => html`<${Kind} kind=${each} by=${by} />`);
}

function Kind({ kind: { kind, measure, below, above, some }, by }) {
  const bound = (value) => number(value, { maximumFractionDigits: 2 });
  const name = t(`audit.kind.${kind.replace(" ", "_")}`);
  const bounds = [
    below !== null && t("audit.below", { value: bound(below) }),
    above !== null && t("audit.above", { value: bound(above) }),
  ].filter(Boolean);
  const values = new Map(some.map(({ image, value }) => [image.id, value]));
  const images = useMemo(() => some.map((each) => each.image), [some]);
  const note = ({ id }) => decimal(values.get(id), Math.abs(values.get(id)) < 100 ? 3 : 0);
  return html`<${Finding} claim=${html`<b>${name}</b> <span class="tag">${bounds.join(" · ")}</span>`}>
    <div class="soft"><${Said} text=${measure} /></div>
    <${Choice} label=${name} images=${images} fields=${fieldsOf(by)} note=${note} />
  <//>`;
}

/** The labels that too few images have. */
export function SmallClasses({ some, summary: { by } }) {
  return html`<${LabelTable}
    title=${t("audit.small_classes")}
    head=${[short(by, 60), t("table.images"), t("audit.floor")]}
    rows=${some.map((each) => [
      html`<${Value} value=${each.label} longest=${80} />`,
      number(each.count),
      percent(each.floor),
    ])}
  />`;
}

/** Images that could not be judged, and why. */
export function LeftOut({ some }) {
  return html`<ul class="plain" role="list">
    ${some.map(
      ({ image, reason }) => html`<li class="finding" key=${image.id}>
        <div class="side"><${Cards} label=${t("finding.image")} images=${[image]} width=${90} /></div>
        <div class="side"><${Said} text=${reason} /></div>
      </li>`,
    )}
  </ul>`;
}
