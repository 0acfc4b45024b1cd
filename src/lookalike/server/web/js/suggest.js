// What to label next: the images whose labels tell most, each with a way to label it.

import { ask } from "./api.js";
import { app, loadCollections, mayWrite } from "./app.js";
import { corrector } from "./correcting.js";
import { el, fill, labelled } from "./dom.js";
import { subjectOf } from "./findings.js";
import { card, grid } from "./hits.js";
import { jobPath } from "./jobs.js";
import { percent, t } from "./language.js";

export const suggest = {
  kind: "suggest",
  what: "suggestions",
  fieldless: true,
  anyField: true,
  fields,
  show,
};

function fields() {
  const count = el("input", { type: "number", value: 20, min: 1, max: 200, required: true });
  return { row: labelled(t("suggest.count"), count), asked: () => ({ count: Number(count.value) }) };
}

async function show(place, job, signal) {
  const answer = await ask("GET", jobPath(job.id, "suggestions"), { signal });
  const { by, labelled: known, unlabelled, suggestions } = answer;
  fill(
    place,
    el("p", {}, t("suggest.summary", { known, unknown: unlabelled })),
    el(
      "section",
      { class: "findings abreast broad box" },
      el("h2", {}, t("suggest.title")),
      el("p", { class: "soft" }, t("suggest.all")),
      suggestions.map((each) => suggestion(each, by)),
      !suggestions.length && el("p", { class: "good" }, t("suggest.nothing")),
    ),
  );
  return () => {};
}

function suggestion({ image, covers, uncertainty, nearest }, by) {
  const like = grid(t("suggest.nearest"), "row");
  if (nearest) like.append(card(nearest, { width: 110, fields: [by] }));
  return el(
    "article",
    { class: "finding" },
    el(
      "p",
      { class: "claim" },
      t("suggest.covers", { count: covers }),
      " ",
      uncertainty !== null &&
        el("span", { class: "tag" }, t("suggest.uncertainty", { share: percent(uncertainty, 0) })),
    ),
    el("div", { class: "side" }, subjectOf(image, by)),
    el(
      "div",
      { class: "side" },
      mayWrite()
        ? corrector({
            id: image.id,
            field: by,
            value: image.fields[by] ?? null,
            label: t("suggest.label"),
            quick: true,
            after: known(by),
          })
        : el("p", { class: "soft" }, t("write.readonly")),
      nearest && el("h3", {}, t("suggest.nearest")),
      nearest && like,
    ),
  );
}

/** Return what takes notice of a field that no image had before. */
function known(by) {
  return () => {
    if (!app.collection.fields.includes(by)) loadCollections();
  };
}
