// How far single answers can be trusted, as an evaluation says it.

import { el } from "./dom.js";
import { decimal, number, percent, t } from "./language.js";
import { said } from "./notices.js";
import { short, shown } from "./values.js";

/** Return the section about an evaluation's confidence. */
export function trustSection({ summary, reliability, coverage }) {
  const lines = [];
  if (summary.trust) lines.push(el("p", {}, t("evaluation.notrust"), " ", said(summary.trust, "span")));
  const most = summary.max_error;
  if (typeof most === "string") lines.push(said(most));
  else if (most) {
    lines.push(
      el(
        "p",
        {},
        t("evaluation.maxerror", {
          error: percent(most.max_error),
          share: percent(most.share),
          answered: most.answered,
          total: most.total,
          wrong: most.wrong,
          from: decimal(most.threshold, 3),
        }),
      ),
    );
  }
  if (summary.false_alarm)
    lines.push(
      el(
        "p",
        {},
        t("evaluation.unknown", {
          rate: percent(summary.false_alarm),
          unknown: summary.unknown,
          evaluated: summary.evaluated,
        }),
      ),
    );
  if (summary.coverage)
    lines.push(
      el(
        "p",
        {},
        t("evaluation.sets", {
          promised: percent(summary.coverage.promised),
          size: decimal(summary.coverage.mean_size, 2),
        }),
      ),
    );
  return el(
    "details",
    { class: "box" },
    el("summary", {}, t("evaluation.trust")),
    lines,
    reliability.length > 0 && reliabilityTable(reliability),
    coverage.length > 0 && coverageTable(coverage, summary),
  );
}

function figuresTable(caption, head, rows) {
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      { class: "full" },
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head.map((each, n) => el("th", { scope: "col", class: n ? "n" : null }, each)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map(([first, ...rest]) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, first),
            rest.map((each) => el("td", { class: "n" }, each)),
          ),
        ),
      ),
    ),
  );
}

function reliabilityTable(bins) {
  return figuresTable(
    t("evaluation.reliability"),
    [t("table.confidence"), t("table.images"), t("table.mean"), t("table.right")],
    bins.map((each) => [
      `${percent(each.low, 0)} … ${percent(each.high, 0)}`,
      number(each.count),
      percent(each.confidence),
      percent(each.right),
    ]),
  );
}

function coverageTable(labels, summary) {
  return figuresTable(
    t("evaluation.coverage"),
    [short(summary.by, 40), t("table.images"), t("table.covered")],
    labels
      .filter((each) => each.images)
      .map((each) => [shown(each.label, 80), number(each.images), percent(each.covered / each.images)]),
  );
}
