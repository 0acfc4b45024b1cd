// What an audit finds, each with the images that speak for it.

import { mayWrite } from "./app.js";
import { around, changeImage, corrector } from "./correcting.js";
import { el, fill, icon } from "./dom.js";
import { card, grid } from "./hits.js";
import { decimal, number, percent, t } from "./language.js";
import { announce, problemBox, said } from "./notices.js";
import { short, shown, textOf } from "./values.js";

/** Of an audit by a field, that is shown beside its images; of one without, their first ones. */
function fieldsOf(by, ...more) {
  return by === null ? null : [by, ...more];
}

/** Return the image that a finding is about. */
export function subjectOf(image, by, width = 140) {
  const list = grid(t("finding.image"), "row subject");
  list.append(card(image, { width, fields: fieldsOf(by) }));
  return list;
}

/** Return a label that its neighbours contradict, with buttons to confirm or correct it. */
export function suspect(found, { by }) {
  const evidence = grid(t("classify.evidence"), "row");
  evidence.append(...found.neighbours.map((each) => card(each, { width: 110, fields: [by] })));
  return el(
    "article",
    { class: "finding" },
    el(
      "p",
      { class: "claim" },
      t("finding.is"),
      " ",
      el("b", {}, shown(found.label, 60)),
      " · ",
      t("finding.suggested"),
      " ",
      el("b", { class: "bad" }, shown(found.suggested, 60)),
      " ",
      el(
        "span",
        { class: "tag", title: t("finding.scorewhy") },
        t("finding.score", { score: decimal(found.score, 3) }),
      ),
    ),
    el("div", { class: "side" }, subjectOf(found.image, by)),
    el(
      "div",
      { class: "side" },
      evidence,
      mayWrite() ? decision(found, by) : el("p", { class: "soft" }, t("write.readonly")),
    ),
  );
}

function decision(found, by) {
  const place = el("div", { class: "decision" });
  const told = el("div", { role: "status" });
  const { id } = found.image;
  const act = async (changes, then) => {
    for (const each of place.querySelectorAll("button")) each.disabled = true;
    try {
      const details = await changeImage(id, changes);
      then(details);
    } catch (error) {
      if (error.status === undefined) throw error;
      fill(told, problemBox(error));
      for (const each of place.querySelectorAll("button")) each.disabled = false;
    }
  };
  const ask = () => {
    const other = el("div", {});
    const chosen = el(
      "div",
      { class: "actions" },
      el(
        "button",
        { type: "button", onclick: () => act({ confirm: [by] }, confirmed) },
        icon("check"),
        t("audit.right"),
      ),
      el(
        "button",
        {
          type: "button",
          class: "primary",
          onclick: () => act({ fields: { [by]: found.suggested } }, corrected),
        },
        ...around(t("audit.correct"), shown(found.suggested, 40)),
      ),
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => fill(other, corrector({ id, field: by, value: found.label })),
        },
        t("audit.other"),
      ),
    );
    fill(place, chosen, other, told);
  };
  const undo = () =>
    el(
      "button",
      { type: "button", class: "quiet", onclick: () => act({ fields: { [by]: found.label } }, ask) },
      icon("undo"),
      t("correct.undo"),
    );
  const confirmed = () => {
    fill(place, el("p", { class: "good" }, icon("check"), t("audit.confirmed")), told);
    announce(t("audit.confirmed"));
  };
  const corrected = () => {
    fill(
      place,
      el("p", { class: "good" }, icon("check"), ...around(t("correct.done"), shown(found.label, 60)), undo()),
      told,
    );
    announce(
      t("correct.said", {
        now: short(textOf(found.suggested), 100),
        before: short(textOf(found.label), 100),
      }),
    );
  };
  const now = found.image.fields[by] ?? null;
  if (found.confirmed) fill(place, el("p", { class: "good" }, icon("check"), t("audit.confirmed")));
  else if (found.changed)
    fill(place, el("p", { class: "good" }, icon("check"), ...around(t("audit.changed"), shown(now, 60))));
  else ask();
  return place;
}

/** Return a group of images that show the same thing. */
export function duplicates(found, { by, split }) {
  const list = grid(t("audit.duplicates"), "row");
  const fields = fieldsOf(by, ...(split ? [split] : []));
  list.append(...found.images.map((each) => card(each, { width: 130, fields })));
  const notes = [
    found.identical && t("audit.identical"),
    found.disagree && t("audit.disagree"),
    found.straddle && t("audit.straddle"),
  ].filter(Boolean);
  return el(
    "article",
    { class: "finding whole" },
    el(
      "p",
      { class: "claim" },
      t("audit.alike", { count: found.count, similarity: decimal(found.similarity, 3) }),
      " ",
      notes.map((each) => el("span", { class: "tag warn" }, each)),
    ),
    list,
  );
}

/** Return an image that is unlike all others, with the one that is nearest. */
export function outlier(found, { by }) {
  const nearest = grid(t("audit.nearest"), "row");
  if (found.nearest) nearest.append(card(found.nearest, { width: 130, fields: fieldsOf(by) }));
  return el(
    "article",
    { class: "finding" },
    el(
      "p",
      { class: "claim" },
      found.label !== null && el("b", {}, shown(found.label, 60)),
      " ",
      el("span", { class: "tag" }, t("audit.deviation", { deviation: decimal(found.deviation, 1) })),
    ),
    el("div", { class: "side" }, subjectOf(found.image, by)),
    el("div", { class: "side" }, el("p", { class: "soft" }, t("audit.nearest")), nearest),
  );
}

/** Return pictures of poor quality, those of a kind together, each with the measure that says so. */
export function poorPictures(found, { by, pictures }) {
  return pictures.kinds
    .map((kind) => ({ ...kind, some: found.filter((each) => each.kind === kind.kind) }))
    .filter(({ some }) => some.length > 0)
    .map((each) => ofKind(each, by));
}

function ofKind({ kind, measure, below, above, some }, by) {
  const bound = (value) => number(value, { maximumFractionDigits: 2 });
  const name = t(`audit.kind.${kind.replace(" ", "_")}`);
  const bounds = [
    below !== null && t("audit.below", { value: bound(below) }),
    above !== null && t("audit.above", { value: bound(above) }),
  ].filter(Boolean);
  const list = grid(name, "row");
  const note = (value) => decimal(value, Math.abs(value) < 100 ? 3 : 0);
  list.append(
    ...some.map(({ image, value }) => card(image, { width: 130, fields: fieldsOf(by), note: note(value) })),
  );
  return el(
    "article",
    { class: "finding whole" },
    el("p", { class: "claim" }, el("b", {}, name), " ", el("span", { class: "tag" }, bounds.join(" · "))),
    el("div", { class: "soft" }, said(measure)),
    list,
  );
}

/** Return the labels that too few images have. */
export function smallClasses(found, { by }) {
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": t("audit.small_classes") },
    el(
      "table",
      { class: "full" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, el("bdi", {}, short(by, 60))),
          el("th", { scope: "col", class: "n" }, t("table.images")),
          el("th", { scope: "col", class: "n" }, t("audit.floor")),
        ),
      ),
      el(
        "tbody",
        {},
        found.map((each) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, shown(each.label, 80)),
            el("td", { class: "n" }, number(each.count)),
            el("td", { class: "n" }, percent(each.floor)),
          ),
        ),
      ),
    ),
  );
}

/** Return the images that could not be judged, and why. */
export function leftOut(found) {
  return el(
    "ul",
    { class: "plain", role: "list" },
    found.map(({ image, reason }) => {
      const list = grid(t("finding.image"), "row");
      list.append(card(image, { width: 90 }));
      return el(
        "li",
        { class: "finding" },
        el("div", { class: "side" }, list),
        el("div", { class: "side" }, said(reason)),
      );
    }),
  );
}
