// Drift: whether some images are still what the collection was judged on.

import { ask } from "./api.js";
import { fieldOptions, groupOptions, Input, PercentInput, Select, shareOf } from "./controls.js";
import { useKnownValues } from "./correcting.js";
import { PickButton } from "./drop.js";
import { hold } from "./files.js";
import { Cards, Finding, Subject } from "./finding.js";
import { Icon } from "./icons.js";
import { jobPath } from "./jobs.js";
import { decimal, number, percent, t } from "./language.js";
import { Answer, Said } from "./notices.js";
import { Picture } from "./pictures.js";
import { LabelTable, Tile } from "./tables.js";
import { FileName, short, Value, valueOf } from "./values.js";
import { html, useAnswer, useState } from "./view.js";

/** Pictures of the visitor that were compared, by their names: a reload forgets them. */
const sent = new Map();
/** The values of the field that is chosen in the form, the most frequent first. */
let known = [];

export const drift = { kind: "drift", what: "drifts", unlabelled: true, Row, More, asked, Show };

function Row({ files, choose }) {
  const options = fieldOptions();
  const [field, setField] = useState(options[0]?.[0]);
  known = useKnownValues(field);
  const picked = (some) => {
    for (const each of some) sent.set(each.name, hold(each));
    choose(some);
  };
  const disabled = files.length > 0;
  return html`<${Select}
      label=${t("drift.field")}
      name="field"
      options=${options}
      chosen=${field}
      disabled=${disabled}
      onchange=${(event) => setField(event.currentTarget.value)}
    />
    <${Input} label=${t("drift.value")} name="value" values=${known} required disabled=${disabled} />
    ${t("drift.or")} <${PickButton} label=${t("drift.pick")} take=${picked} />
    ${disabled &&
    html`<span class="together">
      ${t("drift.chosen", { count: files.length })}
      <button type="button" class="quiet" aria-label=${t("drift.none")} onclick=${() => choose([])}>
        <${Icon} name="close" />
      </button>
    </span>`}`;
}

function More() {
  return html`<${Select} label=${t("judge.group")} name="group" options=${groupOptions()} chosen="" />
    <${PercentInput} label=${t("drift.alarm")} name="alarm" chosen="1" max="50" required />`;
}

function asked(data, files) {
  return {
    ...(!files.length && { new: { [data.get("field")]: [valueOf(data.get("value"), known)] } }),
    group: data.get("group") || undefined,
    false_alarm: shareOf(data, "alarm"),
  };
}

function Show({ job }) {
  const answer = useAnswer(job.id, (signal) => ask("GET", jobPath(job.id, "drift"), { signal }));
  const [of] = Object.entries(job.asked.new ?? {});
  return html`<${Answer} of=${answer}>
    ${({ summary, shares, drivers, missing, skipped }) => html`<section class="box">
        <p class=${`outcome ${summary.drifted ? "bad" : "good"}`}>${t(summary.drifted ? "drift.is" : "drift.isnot")}</p>
        ${of &&
        html`<p class="soft">
          ${short(of[0], 80)} = ${of[1].map((each) => html`<${Value} value=${each} longest=${80} />`)}
        </p>`}
        <p>${t(summary.drifted ? "drift.is.what" : "drift.isnot.what")}</p>
      </section>
      <${Tiles} summary=${summary} />
      ${skipped.length > 0 && html`<${Skipped} skipped=${skipped} />`}
      ${shares.length > 0 && html`<${Mixture} shares=${shares} by=${summary.by} />`}
      <${Sides} name="drivers" found=${drivers} by=${summary.by} />
      <${Sides} name="missing" found=${missing} by=${summary.by} />`}
  <//>`;
}

function Skipped({ skipped }) {
  return html`<details class="box">
    <summary>${t("drift.skipped", { count: skipped.length })}</summary>
    <ul class="plain" role="list">
      ${skipped.map(
        (each) => html`<li><${FileName} name=${each.name} longest=${120} /><${Said} text=${each.skipped} /></li>`,
      )}
    </ul>
  </details>`;
}

function Tiles({ summary }) {
  const { p_value: p, false_alarm: rate, share, expected, images, reference, groups } = summary;
  return html`<div class="tiles">
    <${Tile} value=${decimal(p, 3)} name=${t("drift.p", { rate: decimal(rate, 3) })} />
    <${Tile} value=${percent(share)} name=${t("drift.share", { expected: percent(expected) })} />
    <${Tile} value=${number(images)} name=${t("drift.images")} />
    <${Tile} value=${number(reference)} name=${t("drift.reference")} />
    ${groups !== null && html`<${Tile} value=${number(groups)} name=${t("drift.groups")} />`}
  </div>`;
}

function Mixture({ shares, by }) {
  return html`<section class="box">
    <h2>${t("drift.mixture")}</h2>
    <${LabelTable}
      title=${t("drift.mixture")}
      head=${[short(by, 40), t("drift.before"), t("drift.now")]}
      rows=${shares.map((each) => [
        html`<${Value} value=${each.label} longest=${80} />`,
        percent(each.before),
        percent(each.now),
      ])}
    />
  </section>`;
}

function Sides({ name, found, by }) {
  if (!found.length) return null;
  const fields = by === null ? null : [by];
  return html`<section class="findings abreast box">
    <h2>${t(`drift.${name}`)}</h2>
    <p class="soft">${t(`drift.${name}.what`)}</p>
    ${found.map(({ image, name: file, witness, nearest }) => {
      const claim = html`<span class="tag" title=${t("drift.witness.why")}>
        ${t("drift.witness", { value: decimal(witness, 3) })}
      </span>`;
      const subject = image
        ? html`<${Subject} image=${image} fields=${fields} />`
        : html`<${Sent} name=${file} />`;
      return html`<${Finding} key=${image?.id ?? file} claim=${claim} subject=${subject}>
        <h3>${t("drift.nearest")}</h3>
        <${Cards} label=${t("drift.nearest")} images=${nearest ? [nearest] : []} fields=${fields} />
      <//>`;
    })}
  </section>`;
}

/** A picture that was sent; the page has it until it is loaded anew. */
function Sent({ name }) {
  const reference = sent.get(name);
  return html`${reference && html`<${Picture} image=${null} width=${140} reference=${reference} alt="" />`}
    <${FileName} name=${name} longest=${120} />`;
}
