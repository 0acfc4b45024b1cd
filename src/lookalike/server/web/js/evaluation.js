// The evaluation of a collection: its figures, and how they were got.

import { ask } from "./api.js";
import { app } from "./app.js";
import { cellPictures } from "./cell.js";
import { confusionSection } from "./confusion.js";
import { el, fill, labelled } from "./dom.js";
import { jobPath } from "./jobs.js";
import { decimal, number, percent, t } from "./language.js";
import { said } from "./notices.js";
import { trustSection } from "./trust.js";
import { short, shown } from "./values.js";

export const evaluation = { kind: "evaluate", what: "evaluations", fields, show };

function fields() {
  const k = select(["1", "3", "5", "10", "auto"], "5", (each) =>
    each === "auto" ? t("classify.auto") : each,
  );
  const [within, group] = [otherField(), groupSelect()];
  const [folds, repeats, seed] = [
    [5, 2, 100],
    [3, 1, 10],
    [0, 0, 1_000_000],
  ].map(([value, min, max]) => el("input", { type: "number", value, min, max, required: true }));
  const error = el("input", { type: "number", min: "0.1", max: "99.9", step: "any" });
  const coverage = el("input", { type: "number", min: "0.1", max: "99.9", step: "any" });
  return {
    row: labelled(t("classify.k"), k),
    more: [
      labelled(t("judge.within"), within),
      labelled(t("judge.group"), group),
      labelled(t("judge.folds"), folds),
      labelled(t("judge.repeats"), repeats),
      labelled(t("judge.seed"), seed),
      labelled(t("classify.maxerror"), error, "%"),
      labelled(t("classify.coverage"), coverage, "%"),
    ],
    asked: () => ({
      k: k.value === "auto" ? "auto" : Number(k.value),
      ...(within.value && { within: within.value }),
      ...(group.value && { group: group.value }),
      folds: Number(folds.value),
      repeats: Number(repeats.value),
      seed: Number(seed.value),
      ...(error.value && { max_error: Number(error.value) / 100 }),
      ...(coverage.value && { coverage: Number(coverage.value) / 100 }),
    }),
  };
}

/** Return a select of fields, or of none. */
function otherField(...more) {
  const fields = app.collection.fields.map((each) => [each, short(each, 80)]);
  const choices = [["", t("judge.nofield")], ...fields, ...more];
  return select(
    choices.map(([value]) => value),
    "",
    (each) => choices.find(([value]) => value === each)[1],
  );
}

/** Return a select of what keeps images together: a field, series as they are found, or nothing. */
export function groupSelect() {
  return otherField(...(app.collection.fields.includes("series") ? [] : [["series", t("judge.series")]]));
}

function select(values, chosen, text) {
  return el(
    "select",
    {},
    values.map((each) => el("option", { value: each, selected: each === chosen }, text(each))),
  );
}

async function show(place, job, signal) {
  const answer = await ask("GET", jobPath(job.id, "evaluation"), { signal });
  const cell = el("section", { class: "cell", tabindex: "-1" });
  fill(
    place,
    seriesNotice(answer.summary),
    tiles(answer.summary),
    method(answer.summary),
    el("div", { class: "pair" }, classTable(answer), confusionSection(answer)),
    cell,
    trustSection(answer),
  );
  return cellPictures(cell, job, answer, signal);
}

/** That neighbours come from one series, above the figure that it flatters. */
function seriesNotice({ series, group }) {
  if (!series) return null;
  const { together } = series;
  const kept = group === "series" || !together;
  return el(
    "p",
    { class: kept ? "soft" : "bad" },
    t("evaluation.series", {
      images: number(series.images),
      series: number(series.series),
      share: percent(series.share),
      expected: percent(series.expected),
      p: decimal(series.p_value, 3),
    }),
    " ",
    said(series.how, "span"),
    !kept && ` ${t("evaluation.series.together", { accuracy: percent(together.accuracy) })}`,
    !together && ` ${t("evaluation.series.nothing")}`,
  );
}

function tile(value, name) {
  return el("div", { class: "tile" }, el("b", {}, value), el("span", {}, name));
}

function tiles(summary) {
  const [low, high] = summary.interval;
  const left = Object.values(summary.left_out).reduce((sum, each) => sum + each, 0);
  return el(
    "div",
    { class: "tiles" },
    tile(
      percent(summary.accuracy),
      t("evaluation.accuracy", { correct: summary.correct, evaluated: summary.evaluated }),
    ),
    tile(
      `${decimal(100 * low, 1)} … ${percent(high)}`,
      t("evaluation.interval", { confidence: percent(summary.confidence, 0) }),
    ),
    tile(percent(summary.baseline), t("evaluation.baseline")),
    tile(decimal(summary.macro_f1, 3), t("evaluation.f1", { balanced: percent(summary.balanced_accuracy) })),
    summary.brier !== null && tile(decimal(summary.brier, 3), t("evaluation.brier")),
    tile(number(left), t("evaluation.leftout", { images: summary.images })),
  );
}

/** How the figures were got, and what flatters them. */
function method(summary) {
  const { by, within, group, k } = summary;
  const lines = [
    el(
      "li",
      {},
      t("evaluation.method"),
      " ",
      said(summary.method, "span"),
      `, k = ${number(k)}`,
      " · ",
      el("bdi", {}, short(by, 80)),
    ),
  ];
  const add = (key, values) => lines.push(el("li", {}, t(key, values)));
  if (within) add("evaluation.within", { field: short(within, 80) });
  if (group === "series" && !summary.series && !app.collection.fields.includes(group))
    add("evaluation.series.none");
  else if (group) add("evaluation.group", { field: short(group, 80) });
  const ks = Object.entries(summary.ks);
  if (ks.length > 1)
    add("evaluation.ks", { ks: ks.map(([each, folds]) => `${each} × ${number(folds)}`).join(", ") });
  if (summary.near_duplicates) add("evaluation.near", { count: summary.near_duplicates });
  if (summary.apart) add("evaluation.apart", { accuracy: percent(summary.apart.accuracy) });
  if (summary.chains.length) {
    const [largest] = summary.chains;
    add("evaluation.chains", {
      images: number(largest.images),
      groups: number(largest.groups),
      similarity: decimal(largest.similarity, 4),
    });
  }
  if (summary.joined.length) {
    const [largest] = summary.joined;
    add("evaluation.joined", {
      field: short(group, 80),
      images: number(largest.images),
      groups: number(largest.groups),
    });
  }
  if (summary.repeats.length > 1) {
    add("evaluation.repeats", {
      count: summary.repeats.length,
      low: percent(Math.min(...summary.repeats)),
      high: percent(Math.max(...summary.repeats)),
    });
  }
  if (summary.duplicates) add("evaluation.duplicates", { count: summary.duplicates });
  if (summary.alone_in_class) add("evaluation.alone", { count: summary.alone_in_class });
  if (summary.fewer_than_k) add("evaluation.fewer", { count: summary.fewer_than_k });
  for (const [reason, count] of Object.entries(summary.left_out)) {
    lines.push(el("li", {}, t("evaluation.reason", { count }), " ", said(reason, "span")));
  }
  return el(
    "section",
    { class: "box" },
    el("h2", {}, t("evaluation.how")),
    el("ul", { class: "plain" }, lines),
  );
}

function classTable({ classes, summary }) {
  const head = [short(summary.by, 40), t("table.images"), t("table.precision"), t("table.recall"), "F1"];
  return el(
    "section",
    { class: "box" },
    el("h2", {}, t("evaluation.classes")),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("evaluation.classes") },
      el(
        "table",
        { class: "full" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((each, n) => el("th", { scope: "col", class: n ? "n" : null }, el("bdi", {}, each))),
          ),
        ),
        el(
          "tbody",
          {},
          classes.map((each) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, shown(each.label, 80)),
              el("td", { class: "n" }, number(each.support)),
              [each.precision, each.recall, each.f1].map((figure) =>
                el("td", { class: "n" }, decimal(figure, 3)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}
