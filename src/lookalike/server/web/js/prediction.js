// What one picture was classified as, with its evidence.

import { anomalySection } from "./anomaly.js";
import { mayWrite } from "./app.js";
import { corrector } from "./correcting.js";
import { el, fill, put } from "./dom.js";
import { explanationSection } from "./explanation.js";
import { isFile } from "./files.js";
import { card, grid, openImage } from "./hits.js";
import { decimal, percent, t } from "./language.js";
import { layersOver } from "./layers.js";
import { said } from "./notices.js";
import { picture } from "./pictures.js";
import { fileName, keyOf, short, shown } from "./values.js";

/** Bars of the vote that are shown. */
const BARS = 8;

/**
 * Return a prediction as an article, and what asks for the rest of it.
 * @param prediction as the server gives it, or {name, skipped}
 * @param reference of the picture: an id, or a file of the visitor
 * @param by the field of the label
 * @param image details of an image of the collection, whose label can be put right; null for a file
 * @param explain asks the server why, and returns its explanation
 * @returns {article, judge}: judge asks whether the picture is normal, until a signal ends it
 */
export function predictionArticle(prediction, reference, by, image, explain) {
  const article = el("article", { class: "prediction", "aria-label": short(prediction.name, 200) });
  const subject = isFile(reference)
    ? picture(null, { width: 240, reference, alt: prediction.name, eager: true })
    : el(
        "button",
        { type: "button", class: "bare", onclick: () => openImage(reference) },
        picture({ id: reference, name: prediction.name }, { width: 240, eager: true }),
      );
  const name = fileName(prediction.name, 200);
  const layers = layersOver(subject);
  const side = el("div", { class: "subject" }, subject, layers.buttons, name);
  if (prediction.skipped) {
    const why = el(
      "p",
      { class: "notice bad" },
      el("strong", {}, t("classify.skipped")),
      said(prediction.skipped),
    );
    return { article: fill(article, side, el("div", { class: "verdict" }, why)), judge: () => {} };
  }
  const { place, judge } = anomalySection(reference, layers);
  const { neighbours } = prediction;
  const why = neighbours.length > 0 && explanationSection(explain, layers, neighbours);
  fill(article, side, put(verdict(prediction, by, image), why, place), evidence(prediction, by));
  return { article, judge };
}

function verdict(found, by, image) {
  const unknown = found.label === null;
  const copies = found.itself - (image ? 1 : 0);
  return el(
    "div",
    { class: "verdict" },
    el("p", { class: "asked" }, el("bdi", {}, short(by, 80))),
    el(
      "h2",
      { class: `label ${unknown ? "unknown" : ""}` },
      unknown ? t("classify.unknown") : shown(found.label, 200),
    ),
    unknown && (found.reason ? said(found.reason) : el("p", {}, t("classify.novotes"))),
    found.caution && said(found.caution),
    el(
      "dl",
      { class: "figures" },
      // Of a picture like no other, the confidence in the first vote says nothing.
      found.confidence !== null &&
        !unknown &&
        figure(t("classify.confidence"), percent(found.confidence), t("classify.confidencewhy")),
      found.neighbours.length > 0 &&
        figure(
          t("classify.share"),
          t("classify.of", {
            count: Math.round(found.share * found.neighbours.length),
            all: found.neighbours.length,
          }),
        ),
      found.p_value !== null &&
        figure(t("classify.usual"), decimal(found.p_value, 3), t("classify.usualwhy")),
    ),
    found.votes.length > 0 && bars(found.votes),
    found.label_set && labelSet(found.label_set),
    copies > 0 && el("p", { class: "soft" }, t("classify.itself", { count: copies })),
    image && truth(image, found, by),
  );
}

function figure(name, value, why = null) {
  return el("div", { title: why }, el("dt", {}, name), el("dd", {}, value));
}

function bars(votes) {
  const rows = votes.slice(0, BARS).map(({ label, share }, place) => {
    const bar = el("span", { class: `bar ${place ? "" : "first"}`, "aria-hidden": "true" }, el("span", {}));
    bar.firstChild.style.setProperty("--part", String(share));
    return el(
      "li",
      {},
      el("span", { class: "bar-name" }, shown(label, 60)),
      bar,
      el("span", { class: "bar-value" }, percent(share, 0)),
    );
  });
  const rest = votes.length - rows.length;
  return el(
    "section",
    { class: "votes" },
    el("h3", {}, t("classify.votes")),
    el("ul", { role: "list" }, rows),
    rest > 0 && el("p", { class: "soft" }, t("rest", { count: rest })),
  );
}

function labelSet(labels) {
  return el(
    "p",
    {},
    t("classify.set"),
    " ",
    labels.length
      ? labels.map((label) => el("span", { class: "tag" }, shown(label, 60)))
      : el("span", { class: "soft" }, t("classify.emptyset")),
  );
}

/** What the collection says the label is, and a way to put it right. */
function truth(image, found, by) {
  const current = el("p", { class: "current" });
  const [winner] = found.votes;
  const put = ({ fields }) => {
    const contradicted = winner && by in fields && keyOf(winner.label) !== keyOf(fields[by]);
    fill(
      current,
      by in fields ? shown(fields[by], 200) : t("value.none"),
      contradicted && el("span", { class: "tag warn" }, t("classify.contradicted")),
    );
  };
  put(image);
  const label = mayWrite() ? t("correct.wrong") : null;
  return el(
    "section",
    { class: "truth", "data-image": image.id, "onimage-changed": (event) => put(event.detail) },
    el("h3", {}, t("classify.truth")),
    current,
    corrector({ id: image.id, field: by, value: image.fields[by] ?? null, label }),
  );
}

function evidence(found, by) {
  const list = grid(t("classify.evidence"), "row");
  list.append(...found.neighbours.map((each) => card(each, { width: 120, fields: [by] })));
  return el(
    "section",
    { class: "evidence" },
    el("h3", {}, t("classify.evidence")),
    found.neighbours.length ? list : el("p", { class: "soft" }, t("classify.none")),
  );
}
