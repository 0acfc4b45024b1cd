// The confusion matrix, whose cells open their pictures.

import { el, fill } from "./dom.js";
import { number, percent, t } from "./language.js";
import { change } from "./route.js";
import { keyOf, short, shown, textOf } from "./values.js";

/** Classes beyond which the matrix gives way to a list of its cells. */
const WIDEST = 24;
const LISTED = 50;

/** Return the section with the matrix of an evaluation, or with the list of what was confused. */
export function confusionSection({ summary, classes, confusion }) {
  const places = new Map(classes.map((each, place) => [keyOf(each.label), place]));
  const cells = confusion.map((each) => ({
    row: places.get(keyOf(each.label)),
    column: places.get(keyOf(each.predicted)),
    count: each.count,
  }));
  const wrong = cells.filter((each) => each.row !== each.column).sort((a, b) => b.count - a.count);
  const mistakes = wrong.reduce((sum, each) => sum + each.count, 0);
  return el(
    "section",
    { class: "box confusion" },
    el("h2", {}, t("confusion.title")),
    el("p", { class: "soft" }, t("confusion.how")),
    classes.length <= WIDEST ? matrix(summary, classes, cells) : list(summary, classes, wrong),
    mistakes > 0
      ? el(
          "button",
          { type: "button", onclick: () => change({ cell: "wrong" }) },
          t("confusion.allwrong", { count: mistakes }),
        )
      : el("p", { class: "good" }, t("confusion.none")),
  );
}

function cellButton(classes, row, column, count, part) {
  const name = t("confusion.cell", {
    label: short(textOf(classes[row].label), 60),
    predicted: short(textOf(classes[column].label), 60),
    count,
  });
  const button = el(
    "button",
    {
      type: "button",
      "aria-label": name,
      class: row === column ? "right" : "wrong",
      onclick: () => change({ cell: `${row}.${column}` }),
    },
    number(count),
  );
  button.style.setProperty("--part", part.toFixed(3));
  return button;
}

function matrix(summary, classes, cells) {
  const counts = new Map(cells.map(({ row, column, count }) => [`${row}.${column}`, count]));
  const cell = (row, column) => {
    const count = counts.get(`${row}.${column}`) ?? 0;
    if (!count) return el("td", { class: "zero" }, number(0));
    return el("td", {}, cellButton(classes, row, column, count, count / Math.max(classes[row].support, 1)));
  };
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": t("confusion.title") },
    el(
      "table",
      { class: "matrix" },
      el("caption", { class: "heard" }, t("confusion.caption", { field: short(summary.by, 80) })),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("td", { class: "corner" }),
          el("th", { scope: "colgroup", colspan: classes.length, class: "axis" }, t("confusion.predicted")),
        ),
        el(
          "tr",
          {},
          el("th", { scope: "col", class: "axis" }, t("confusion.true")),
          classes.map((each) => el("th", { scope: "col" }, shown(each.label, 30))),
        ),
      ),
      el(
        "tbody",
        {},
        classes.map((each, row) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, shown(each.label, 30)),
            classes.map((_, column) => cell(row, column)),
          ),
        ),
      ),
    ),
  );
}

function list(summary, classes, wrong) {
  const rows = (some) =>
    some.map(({ row, column, count }) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, shown(classes[row].label, 60)),
        el("td", {}, shown(classes[column].label, 60)),
        el(
          "td",
          { class: "n" },
          cellButton(classes, row, column, count, count / Math.max(classes[row].support, 1)),
        ),
        el("td", { class: "n" }, percent(count / Math.max(classes[row].support, 1))),
      ),
    );
  const body = el("tbody", {}, rows(wrong.slice(0, LISTED)));
  const place = el("div", {});
  if (wrong.length > LISTED) {
    const act = () => {
      body.append(...rows(wrong.slice(LISTED)));
      place.remove();
    };
    fill(place, el("button", { type: "button", onclick: act }, t("rest", { count: wrong.length - LISTED })));
  }
  const head = [short(summary.by, 40), t("confusion.predicted"), t("table.images"), t("table.part")];
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": t("confusion.title") },
    el(
      "table",
      { class: "full" },
      el("caption", {}, t("confusion.many")),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head.map((each, n) => el("th", { scope: "col", class: n > 1 ? "n" : null }, el("bdi", {}, each))),
        ),
      ),
      body,
    ),
    place,
  );
}
