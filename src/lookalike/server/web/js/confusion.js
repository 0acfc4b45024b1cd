// The confusion matrix, whose cells open their pictures.

import { Select } from "./controls.js";
import { number, percent, t } from "./language.js";
import { change } from "./route.js";
import { LabelTable } from "./tables.js";
import { keyOf, short, textOf, Value } from "./values.js";
import { html, useState } from "./view.js";

/** Classes beyond which they are ordered by confusion, and beyond which the matrix has only the most confused. */
const FEW = 8;
const WIDEST = 24;
const LISTED = 50;

/** Return whether the matrix of so many classes needs all of the width. */
export function isWide(classes) {
  return classes.length > FEW;
}

/** The section with the matrix of an evaluation, and, of many classes, with the list of what was confused. */
export function Confusion({ evaluation: { summary, classes, confusion } }) {
  const [order, setOrder] = useState(isWide(classes) ? "confused" : "label");
  const places = new Map(classes.map((each, place) => [keyOf(each.label), place]));
  const cells = confusion.map(({ label, predicted, count }) => ({
    row: places.get(keyOf(label)),
    column: places.get(keyOf(predicted)),
    count,
  }));
  const wrong = cells.filter((each) => each.row !== each.column).sort((a, b) => b.count - a.count);
  const mistakes = wrong.reduce((sum, each) => sum + each.count, 0);
  const confused = byConfusion(classes.length, wrong);
  const shown = new Set(confused.slice(0, WIDEST));
  const chosen = order === "confused" ? confused : [...classes.keys()];
  return html`<section class="box confusion">
    <h2>${t("confusion.title")}</h2>
    <p class="soft">${t("confusion.how")}</p>
    ${isWide(classes) &&
    html`<${Select}
      label=${t("confusion.order")}
      options=${["confused", "label"].map((each) => [each, t(`confusion.order.${each}`)])}
      chosen=${order}
      onchange=${(event) => setOrder(event.currentTarget.value)}
    />`}
    ${classes.length > WIDEST && html`<p class="soft">${t("confusion.most", { count: WIDEST })}</p>`}
    <${Matrix} summary=${summary} classes=${classes} cells=${cells} order=${chosen.filter((each) => shown.has(each))} />
    ${mistakes > 0
      ? html`<button type="button" onclick=${() => change({ cell: "wrong" })}>
          ${t("confusion.allwrong", { count: mistakes })}
        </button>`
      : html`<p class="good">${t("confusion.none")}</p>`}
    ${classes.length > WIDEST && html`<${List} summary=${summary} classes=${classes} wrong=${wrong} />`}
  </section>`;
}

/** Return the classes' places, the most confused first, and beside each the one that it is confused with most. */
function byConfusion(count, wrong) {
  const between = new Map();
  const total = Array(count).fill(0);
  for (const { row, column, count: some } of wrong) {
    for (const [one, other] of [
      [row, column],
      [column, row],
    ]) {
      total[one] += some;
      if (!between.has(one)) between.set(one, new Map());
      between.get(one).set(other, (between.get(one).get(other) ?? 0) + some);
    }
  }
  const left = new Set([...Array(count).keys()].sort((a, b) => total[b] - total[a]));
  const order = [];
  while (left.size) {
    const beside = [...(between.get(order.at(-1)) ?? [])].filter(([each]) => left.has(each));
    const [next] = beside.length ? beside.reduce((a, b) => (b[1] > a[1] ? b : a)) : left;
    order.push(next);
    left.delete(next);
  }
  return order;
}

function CellButton({ classes, row, column, count }) {
  const name = t("confusion.cell", {
    label: short(textOf(classes[row].label), 60),
    predicted: short(textOf(classes[column].label), 60),
    count,
  });
  return html`<button
    type="button"
    aria-label=${name}
    title=${name}
    class=${row === column ? "right" : "wrong"}
    style=${{ "--part": (count / Math.max(classes[row].support, 1)).toFixed(3) }}
    onclick=${() => change({ cell: `${row}.${column}` })}
  >
    ${number(count)}
  </button>`;
}

function Matrix({ summary, classes, cells, order }) {
  const counts = new Map(cells.map(({ row, column, count }) => [`${row}.${column}`, count]));
  const cell = (row, column) => {
    const count = counts.get(`${row}.${column}`) ?? 0;
    if (!count) return html`<td class="zero">${number(0)}</td>`;
    return html`<td><${CellButton} classes=${classes} row=${row} column=${column} count=${count} /></td>`;
  };
  const head = (place, scope) =>
    html`<th scope=${scope}><${Value} value=${classes[place].label} longest=${30} /></th>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("confusion.title")}>
    <table class=${`matrix ${order.length > FEW ? "upright" : ""}`}>
      <caption class="heard">${t("confusion.caption", { field: short(summary.by, 80) })}</caption>
      <thead>
        <tr>
          <td class="corner"></td>
          <th scope="colgroup" colspan=${order.length} class="axis">${t("confusion.predicted")}</th>
        </tr>
        <tr>
          <th scope="col" class="axis">${t("confusion.true")}</th>
          ${order.map((each) => head(each, "col"))}
        </tr>
      </thead>
      <tbody>
        ${order.map(
          (row) => html`<tr key=${row}>
            ${head(row, "row")} ${order.map((column) => cell(row, column))}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function List({ summary, classes, wrong }) {
  const [all, setAll] = useState(false);
  const label = (place) => html`<${Value} value=${classes[place].label} longest=${60} />`;
  const left = all ? 0 : wrong.length - LISTED;
  return html`<details>
    <summary>${t("confusion.many")}</summary>
    <${LabelTable}
      title=${t("confusion.many")}
      texts=${2}
      head=${[short(summary.by, 40), t("confusion.predicted"), t("table.images"), t("table.part")]}
      rows=${(all ? wrong : wrong.slice(0, LISTED)).map(({ row, column, count }) => [
        label(row),
        label(column),
        html`<${CellButton} classes=${classes} row=${row} column=${column} count=${count} />`,
        percent(count / Math.max(classes[row].support, 1)),
      ])}
    />
    ${left > 0 && html`<button type="button" onclick=${() => setAll(true)}>${t("rest", { count: left })}</button>`}
  </details>`;
}
