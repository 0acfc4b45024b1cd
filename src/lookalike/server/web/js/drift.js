// Drift: whether some images are still what the collection was judged on.

import { ask } from "./api.js";
import { app, fieldValues } from "./app.js";
import { el, fill, fresh, icon, labelled } from "./dom.js";
import { pickButton } from "./drop.js";
import { groupSelect } from "./evaluation.js";
import { hold } from "./files.js";
import { subjectOf } from "./findings.js";
import { card, grid } from "./hits.js";
import { jobPath } from "./jobs.js";
import { decimal, number, percent, t } from "./language.js";
import { said } from "./notices.js";
import { picture } from "./pictures.js";
import { fileName, short, shown, textOf, valueOf } from "./values.js";

/** Pictures of the visitor that were compared, by their names: a reload forgets them. */
const sent = new Map();

export const drift = { kind: "drift", what: "drifts", unlabelled: true, fields, show };

function fields() {
  const listed = fresh("values");
  const list = el("datalist", { id: listed });
  const value = el("input", { type: "text", list: listed, required: true, autocomplete: "off", dir: "auto" });
  let known = [];
  const field = el(
    "select",
    { onchange: () => refresh() },
    app.collection.fields.map((each) => el("option", { value: each }, short(each, 80))),
  );
  const refresh = async () => {
    const all = await fieldValues();
    known = (all.get(field.value)?.values ?? []).map((each) => each.value);
    fill(
      list,
      known.map((each) => el("option", { value: textOf(each) })),
    );
  };
  // Without the list the value can be typed all the same.
  refresh().catch(() => {});
  let files = [];
  const chosen = el("span", { class: "together" });
  const choose = (some) => {
    files = some;
    for (const each of files) sent.set(each.name, hold(each));
    field.disabled = value.disabled = files.length > 0;
    const none = { type: "button", class: "quiet", "aria-label": t("drift.none"), onclick: () => choose([]) };
    fill(
      chosen,
      files.length > 0 && [t("drift.chosen", { count: files.length }), el("button", none, icon("close"))],
    );
  };
  const pick = pickButton(t("drift.pick"), choose);
  const group = groupSelect();
  const alarm = el("input", { type: "number", min: "0.1", max: "50", step: "any", value: 1, required: true });
  return {
    row: [labelled(t("drift.field"), field), labelled(t("drift.value"), value), list, t("drift.or"), pick, chosen],
    more: [labelled(t("judge.group"), group), labelled(t("drift.alarm"), alarm, "%")],
    files: () => files,
    asked: () => ({
      ...(!files.length && { new: { [field.value]: [valueOf(value.value, known)] } }),
      ...(group.value && { group: group.value }),
      false_alarm: Number(alarm.value) / 100,
    }),
  };
}

async function show(place, job, signal) {
  const { summary, shares, drivers, missing, skipped } = await ask("GET", jobPath(job.id, "drift"), { signal });
  const [asked] = Object.entries(job.asked.new ?? {});
  fill(
    place,
    el(
      "section",
      { class: "box" },
      el(
        "p",
        { class: `outcome ${summary.drifted ? "bad" : "good"}` },
        t(summary.drifted ? "drift.is" : "drift.isnot"),
      ),
      asked &&
        el(
          "p",
          { class: "soft" },
          short(asked[0], 80),
          " = ",
          asked[1].map((each) => shown(each, 80)),
        ),
      el("p", {}, t(summary.drifted ? "drift.is.what" : "drift.isnot.what")),
    ),
    tiles(summary),
    skipped.length > 0 && leftOut(skipped),
    shares.length > 0 && mixture(shares, summary.by),
    sides("drivers", drivers, summary.by),
    sides("missing", missing, summary.by),
  );
  return () => {};
}

function leftOut(skipped) {
  return el(
    "details",
    { class: "box" },
    el("summary", {}, t("drift.skipped", { count: skipped.length })),
    el(
      "ul",
      { class: "plain", role: "list" },
      skipped.map((each) => el("li", {}, fileName(each.name, 120), said(each.skipped))),
    ),
  );
}

function tiles(summary) {
  const tile = (value, name) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, name));
  return el(
    "div",
    { class: "tiles" },
    tile(decimal(summary.p_value, 3), t("drift.p", { rate: decimal(summary.false_alarm, 3) })),
    tile(percent(summary.share), t("drift.share", { expected: percent(summary.expected) })),
    tile(number(summary.images), t("drift.images")),
    tile(number(summary.reference), t("drift.reference")),
    summary.groups !== null && tile(number(summary.groups), t("drift.groups")),
  );
}

function mixture(shares, by) {
  const head = [short(by, 40), t("drift.before"), t("drift.now")];
  return el(
    "section",
    { class: "box" },
    el("h2", {}, t("drift.mixture")),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("drift.mixture") },
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
          shares.map((each) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, shown(each.label, 80)),
              el("td", { class: "n" }, percent(each.before)),
              el("td", { class: "n" }, percent(each.now)),
            ),
          ),
        ),
      ),
    ),
  );
}

function sides(name, found, by) {
  if (!found.length) return null;
  return el(
    "section",
    { class: "findings abreast box" },
    el("h2", {}, t(`drift.${name}`)),
    el("p", { class: "soft" }, t(`drift.${name}.what`)),
    found.map((each) => side(each, by)),
  );
}

/** A picture that was sent; the page has it until it is loaded anew. */
function ofVisitor(name) {
  const reference = sent.get(name);
  return [reference && picture(null, { width: 140, reference, alt: "" }), fileName(name, 120)];
}

function side({ image, name, witness, nearest }, by) {
  const list = grid(t("drift.nearest"), "row");
  if (nearest) list.append(card(nearest, { width: 110, fields: by === null ? null : [by] }));
  return el(
    "article",
    { class: "finding" },
    el(
      "p",
      { class: "claim" },
      el(
        "span",
        { class: "tag", title: t("drift.witness.why") },
        t("drift.witness", { value: decimal(witness, 3) }),
      ),
    ),
    el("div", { class: "side" }, image ? subjectOf(image, by) : ofVisitor(name)),
    el("div", { class: "side" }, el("h3", {}, t("drift.nearest")), list),
  );
}
