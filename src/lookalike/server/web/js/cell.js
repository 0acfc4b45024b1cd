// The pictures of one cell of the confusion matrix, each with the neighbours that voted.

import { ask } from "./api.js";
import { mayWrite } from "./app.js";
import { corrector } from "./correcting.js";
import { el, fill, icon, put } from "./dom.js";
import { card, grid } from "./hits.js";
import { jobPath } from "./jobs.js";
import { percent, t } from "./language.js";
import { announce, report, waiting } from "./notices.js";
import { change } from "./route.js";
import { keyOf, short, shown, textOf } from "./values.js";

const PAGE = 12;

/**
 * Return what shows the cell that the address names.
 * @param place the section for it
 * @param job the evaluation
 * @param answer what it says
 * @param signal ends it
 */
export function cellPictures(place, job, answer, signal) {
  let shownCell = null;
  place.hidden = true;
  return (params) => {
    const cell = params.get("cell");
    if (cell === shownCell) return;
    shownCell = cell;
    const asked = cell ? askedOf(cell, answer.classes) : null;
    place.hidden = !asked;
    if (!asked) return;
    const list = el("div", { class: "findings" });
    const more = el("div", { class: "more" });
    fill(
      place,
      el(
        "div",
        { class: "head" },
        el("h2", {}, asked.title),
        el(
          "button",
          { type: "button", class: "quiet", "aria-label": t("close"), onclick: () => change({ cell: null }) },
          icon("close"),
        ),
      ),
      list,
      more,
    );
    place.focus({ preventScroll: true });
    // Once it is as long as the window, its head can be at the top.
    const reveal = () => place.scrollIntoView({ block: "start" });
    page({
      job,
      by: answer.summary.by,
      query: asked.query,
      list,
      more,
      signal,
      reveal,
      offset: 0,
      current: () => shownCell === cell,
    });
  };
}

function askedOf(cell, classes) {
  if (cell === "wrong") return { title: t("cell.wrong"), query: { wrong: "true" } };
  const [row, column] = cell.split(".").map(Number);
  if (!classes[row] || !classes[column]) return null;
  const [label, predicted] = [row, column].map((each) => short(textOf(classes[each].label), 60));
  const title = row === column ? t("cell.right", { label }) : t("cell.confused", { label, predicted });
  return { title, query: { label: row, predicted: column } };
}

async function page(state) {
  const { job, query, list, more, signal, offset, current } = state;
  fill(more, waiting(t("waiting")));
  try {
    const asked = new URLSearchParams({ ...query, offset, limit: PAGE });
    const answer = await ask("GET", `${jobPath(job.id, "evaluation", "images")}?${asked}`, { signal });
    if (!current()) return;
    put(
      list,
      answer.images.map((each) => finding(each, state.by)),
    );
    const next = offset + PAGE;
    if (!offset) state.reveal();
    if (!offset) announce(t("cell.count", { count: answer.total }));
    const left = answer.total - next;
    const button = () =>
      el(
        "button",
        { type: "button", class: "wide", onclick: () => page({ ...state, offset: next }) },
        t("rest", { count: left }),
      );
    fill(more, left > 0 && button());
  } catch (error) {
    report(more, error, () => page(state));
  }
}

/** One image beside the neighbours that voted on it. */
function finding(image, by) {
  const subject = grid(t("finding.image"), "row subject");
  subject.append(card(image, { width: 140, fields: [] }));
  const evidence = grid(t("classify.evidence"), "row");
  evidence.append(...image.neighbours.map((each) => card(each, { width: 110, fields: [by] })));
  const wrong = keyOf(image.label) !== keyOf(image.predicted);
  return el(
    "article",
    { class: "finding" },
    el(
      "p",
      { class: "claim" },
      t("finding.is"),
      " ",
      el("b", {}, shown(image.label, 60)),
      " · ",
      t("finding.voted"),
      " ",
      el("b", { class: wrong ? "bad" : "good" }, shown(image.predicted, 60)),
      " ",
      el("span", { class: "tag" }, t("finding.share", { share: percent(image.share, 0) })),
    ),
    el("div", { class: "side" }, subject),
    el(
      "div",
      { class: "side" },
      evidence,
      wrong &&
        mayWrite() &&
        corrector({ id: image.id, field: by, value: image.label, label: t("correct.wrong") }),
    ),
  );
}
