// The evaluation of a collection: its figures, and how they were got.

import { ask } from "./api.js";
import { app } from "./app.js";
import { Cell } from "./cell.js";
import { Confusion, isWide } from "./confusion.js";
import { fieldOptions, groupOptions, Input, PercentInput, Select, shareOf } from "./controls.js";
import { jobPath } from "./jobs.js";
import { decimal, number, percent, t } from "./language.js";
import { Answer, Said } from "./notices.js";
import { LabelTable, Tile } from "./tables.js";
import { Trust } from "./trust.js";
import { short, Value } from "./values.js";
import { html, useAnswer } from "./view.js";

export const evaluation = { kind: "evaluate", what: "evaluations", Row, More, asked, Show };

function Row() {
  const options = ["1", "3", "5", "10", "auto"].map((each) => [each, each === "auto" ? t("classify.auto") : each]);
  return html`<${Select} label=${t("classify.k")} name="k" options=${options} chosen="5" />`;
}

function More() {
  const none = [["", t("judge.nofield")]];
  const count = (name, chosen, min, max) =>
    html`<${Input} label=${t(`judge.${name}`)} name=${name} type="number" chosen=${chosen} min=${min} max=${max} required />`;
  return html`<${Select} label=${t("judge.within")} name="within" options=${[...none, ...fieldOptions()]} chosen="" />
    <${Select} label=${t("judge.group")} name="group" options=${groupOptions()} chosen="" />
    ${count("folds", 5, 2, 100)} ${count("repeats", 3, 1, 10)} ${count("seed", 0, 0, 1_000_000)}
    <${PercentInput} label=${t("classify.maxerror")} name="max_error" />
    <${PercentInput} label=${t("classify.coverage")} name="coverage" />`;
}

function asked(data) {
  return {
    k: data.get("k") === "auto" ? "auto" : Number(data.get("k")),
    within: data.get("within") || undefined,
    group: data.get("group") || undefined,
    folds: Number(data.get("folds")),
    repeats: Number(data.get("repeats")),
    seed: Number(data.get("seed")),
    max_error: shareOf(data, "max_error"),
    coverage: shareOf(data, "coverage"),
  };
}

function Show({ job, params }) {
  const answer = useAnswer(job.id, (signal) => ask("GET", jobPath(job.id, "evaluation"), { signal }));
  return html`<${Answer} of=${answer}>
    ${(found) => html`<${Series} summary=${found.summary} />
      <${Tiles} summary=${found.summary} />
      <${Method} summary=${found.summary} />
      <div class=${isWide(found.classes) ? "filled" : "pair"}>
        <${Classes} evaluation=${found} />
        <${Confusion} evaluation=${found} />
      </div>
      <${Cell} job=${job} evaluation=${found} params=${params} />
      <${Trust} evaluation=${found} />`}
  <//>`;
}

/** That neighbours come from one series, above the figure that it flatters. */
function Series({ summary: { series, group } }) {
  if (!series) return null;
  const { together } = series;
  const kept = group === "series" || !together;
  const found = t("evaluation.series", {
    images: series.images,
    series: series.series,
    share: percent(series.share),
    expected: percent(series.expected),
    p: decimal(series.p_value, 3),
  });
  return html`<p class=${kept ? "soft" : "bad"}>
    ${found} <${Said} text=${series.how} tag="span" />
    ${!kept && ` ${t("evaluation.series.together", { accuracy: percent(together.accuracy) })}`}
    ${!together && ` ${t("evaluation.series.nothing")}`}
  </p>`;
}

function Tiles({ summary }) {
  const [low, high] = summary.interval;
  const left = Object.values(summary.left_out).reduce((sum, each) => sum + each, 0);
  const { correct, evaluated, images, confidence, balanced_accuracy: balanced, brier } = summary;
  return html`<div class="tiles">
    <${Tile} value=${percent(summary.accuracy)} name=${t("evaluation.accuracy", { correct, evaluated })} />
    <${Tile}
      value=${`${decimal(100 * low, 1)} … ${percent(high)}`}
      name=${t("evaluation.interval", { confidence: percent(confidence, 0) })}
    />
    <${Tile} value=${percent(summary.baseline)} name=${t("evaluation.baseline")} />
    <${Tile} value=${decimal(summary.macro_f1, 3)} name=${t("evaluation.f1", { balanced: percent(balanced) })} />
    ${brier !== null && html`<${Tile} value=${decimal(brier, 3)} name=${t("evaluation.brier")} />`}
    <${Tile} value=${number(left)} name=${t("evaluation.leftout", { images })} />
  </div>`;
}

/** How the figures were got, and what flatters them. */
function Method({ summary }) {
  const { by, within, group, k, series, apart, repeats } = summary;
  const [[chain], [joined]] = [summary.chains, summary.joined];
  const ks = Object.entries(summary.ks);
  const noSeries = group === "series" && !series && !app.collection.fields.includes(group);
  const lines = [
    within && t("evaluation.within", { field: short(within, 80) }),
    noSeries && t("evaluation.series.none"),
    group && !noSeries && t("evaluation.group", { field: short(group, 80) }),
    ks.length > 1 && t("evaluation.ks", { ks: ks.map(([each, folds]) => `${each} × ${number(folds)}`).join(", ") }),
    summary.near_duplicates && t("evaluation.near", { count: summary.near_duplicates }),
    apart && t("evaluation.apart", { accuracy: percent(apart.accuracy) }),
    chain && t("evaluation.chains", { ...chain, similarity: decimal(chain.similarity, 4) }),
    joined && t("evaluation.joined", { ...joined, field: short(group ?? "", 80) }),
    repeats.length > 1 &&
      t("evaluation.repeats", {
        count: repeats.length,
        low: percent(Math.min(...repeats)),
        high: percent(Math.max(...repeats)),
      }),
    summary.duplicates && t("evaluation.duplicates", { count: summary.duplicates }),
    summary.alone_in_class && t("evaluation.alone", { count: summary.alone_in_class }),
    summary.fewer_than_k && t("evaluation.fewer", { count: summary.fewer_than_k }),
  ];
  return html`<section class="box">
    <h2>${t("evaluation.how")}</h2>
    <ul class="plain">
      <li>
        ${t("evaluation.method")} <${Said} text=${summary.method} tag="span" />, k = ${number(k)} ·${" "}
        <bdi>${short(by, 80)}</bdi>
      </li>
      ${lines.filter(Boolean).map((each) => html`<li>${each}</li>`)}
      ${Object.entries(summary.left_out).map(
        ([reason, count]) =>
          html`<li>${t("evaluation.reason", { count })} <${Said} text=${reason} tag="span" /></li>`,
      )}
    </ul>
  </section>`;
}

function Classes({ evaluation: { classes, summary } }) {
  return html`<section class="box">
    <h2>${t("evaluation.classes")}</h2>
    <${LabelTable}
      title=${t("evaluation.classes")}
      head=${[short(summary.by, 40), t("table.images"), t("table.precision"), t("table.recall"), "F1"]}
      rows=${classes.map((each) => [
        html`<${Value} value=${each.label} longest=${80} />`,
        number(each.support),
        ...[each.precision, each.recall, each.f1].map((figure) => decimal(figure, 3)),
      ])}
    />
  </section>`;
}
