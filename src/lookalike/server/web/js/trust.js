// How far single answers can be trusted, as an evaluation says it.

import { decimal, number, percent, t } from "./language.js";
import { Said } from "./notices.js";
import { LabelTable } from "./tables.js";
import { short, Value } from "./values.js";
import { html } from "./view.js";

/** The section about an evaluation's confidence. */
export function Trust({ evaluation: { summary, reliability, coverage } }) {
  const { trust, max_error: most, false_alarm: rate, coverage: sets } = summary;
  return html`<details class="box">
    <summary>${t("evaluation.trust")}</summary>
    ${trust && html`<p>${t("evaluation.notrust")} <${Said} text=${trust} tag="span" /></p>`}
    ${typeof most === "string" && html`<${Said} text=${most} />`}
    ${most?.max_error &&
    html`<p>
      ${t("evaluation.maxerror", {
        ...most,
        error: percent(most.max_error),
        share: percent(most.share),
        from: decimal(most.threshold, 3),
      })}
    </p>`}
    ${rate && html`<p>${t("evaluation.unknown", { ...summary, rate: percent(rate) })}</p>`}
    ${sets &&
    html`<p>${t("evaluation.sets", { promised: percent(sets.promised), size: decimal(sets.mean_size, 2) })}</p>`}
    ${reliability.length > 0 &&
    html`<${LabelTable}
      caption=${t("evaluation.reliability")}
      head=${[t("table.confidence"), t("table.images"), t("table.mean"), t("table.right")]}
      rows=${reliability.map((each) => [
        `${percent(each.low, 0)} … ${percent(each.high, 0)}`,
        number(each.count),
        percent(each.confidence),
        percent(each.right),
      ])}
    />`}
    ${coverage.length > 0 &&
    html`<${LabelTable}
      caption=${t("evaluation.coverage")}
      head=${[short(summary.by, 40), t("table.images"), t("table.covered")]}
      rows=${coverage
        .filter((each) => each.images)
        .map((each) => [
          html`<${Value} value=${each.label} longest=${80} />`,
          number(each.images),
          percent(each.covered / each.images),
        ])}
    />`}
  </details>`;
}
