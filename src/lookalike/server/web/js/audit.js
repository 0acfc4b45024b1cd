// The audit: what is wrong with labels and images.

import { ask } from "./api.js";
import { app } from "./app.js";
import { el, fill, labelled, put } from "./dom.js";
import { duplicates, leftOut, outlier, poorPictures, smallClasses, suspect } from "./findings.js";
import { jobPath } from "./jobs.js";
import { number, t } from "./language.js";
import { report, said, waiting } from "./notices.js";
import { change } from "./route.js";
import { short } from "./values.js";

export const audit = { kind: "audit", what: "audits", unlabelled: true, fieldless: true, fields, show };

const PAGE = 20;

/** The lists of an audit: how many the summary counts, null where none were looked for, and what shows some. */
const LISTS = {
  suspects: {
    count: (summary) => (summary.by === null ? null : summary.contradicted),
    show: (some, summary) => some.map((each) => suspect(each, summary)),
  },
  duplicates: {
    count: (summary) => summary.duplicates,
    show: (some, summary) => some.map((each) => duplicates(each, summary)),
  },
  outliers: {
    count: (summary) => summary.outliers,
    show: (some, summary) => some.map((each) => outlier(each, summary)),
  },
  small_classes: {
    count: (summary) => (summary.by === null ? null : summary.small_classes),
    show: (some, summary) => [smallClasses(some, summary)],
  },
  pictures: {
    count: ({ pictures }) => pictures && pictures.kinds.reduce((sum, each) => sum + each.count, 0),
    show: poorPictures,
  },
  unread: { count: ({ pictures }) => pictures?.unread || null, show: (some) => [leftOut(some)] },
  left_out: {
    count: (summary) => (summary.by === null ? null : summary.left_out),
    show: (some) => [leftOut(some)],
  },
};

function fields() {
  const k = el(
    "select",
    {},
    ["1", "3", "5", "10", "20"].map((each) => el("option", { value: each, selected: each === "5" }, each)),
  );
  const split = el(
    "select",
    {},
    el("option", { value: "" }, t("audit.anysplit")),
    app.collection.fields.map((each) => el("option", { value: each }, short(each, 80))),
  );
  const look = el("input", { type: "checkbox", checked: true });
  return {
    row: labelled(t("classify.k"), k),
    more: [labelled(t("audit.split"), split), el("label", { class: "choice" }, look, t("audit.look"))],
    asked: () => ({ k: Number(k.value), look: look.checked, ...(split.value && { split: split.value }) }),
  };
}

async function show(place, job, signal) {
  const { summary } = await list(job, "suspects", 0, signal, 1);
  const nav = el("div", { class: "chips", role: "group", "aria-label": t("audit.lists") });
  const found = el("section", { class: "findings box", "aria-live": "off" });
  fill(
    place,
    el(
      "p",
      {},
      summary.by === null
        ? t("audit.summary.unlabelled", { count: summary.images })
        : [
            t("audit.summary", {
              contradicted: summary.contradicted,
              judged: summary.judged,
              images: summary.images,
            }),
            " ",
            t("evaluation.method"),
            " ",
            said(summary.method, "span"),
          ],
    ),
    nav,
    found,
  );
  let open = null;
  const names = Object.keys(LISTS).filter((each) => LISTS[each].count(summary) !== null);
  return (params) => {
    const first = names.find((each) => LISTS[each].count(summary) > 0) ?? names[0];
    const name = names.includes(params.get("list")) ? params.get("list") : first;
    if (name === open) return;
    open = name;
    fill(
      nav,
      names.map((each) => choice(each, name, summary)),
    );
    fill(found, el("h2", {}, t(`audit.${name}`)), el("p", { class: "soft" }, t(`audit.${name}.what`)));
    const items = put(found, el("div", {})).lastChild;
    const more = put(found, el("div", { class: "more" })).lastChild;
    page({ job, name, items, more, signal, offset: 0, current: () => open === name });
  };
}

function choice(name, open, summary) {
  return el(
    "button",
    {
      type: "button",
      class: "chip",
      "aria-pressed": String(name === open),
      onclick: () => change({ list: name }),
    },
    t(`audit.${name}`),
    " ",
    el("span", { class: "count" }, number(LISTS[name].count(summary))),
  );
}

function list(job, name, offset, signal, limit = PAGE) {
  return ask("GET", `${jobPath(job.id, "audit")}?${new URLSearchParams({ list: name, offset, limit })}`, {
    signal,
  });
}

async function page(state) {
  const { job, name, items, more, signal, offset, current } = state;
  fill(more, waiting(t("waiting")));
  try {
    const answer = await list(job, name, offset, signal);
    if (!current()) return;
    const some = answer[name];
    put(items, LISTS[name].show(some, answer.summary));
    const next = offset + PAGE;
    const left = answer.total - next;
    if (!answer.total) fill(items, el("p", { class: "good" }, t("audit.nothing")));
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
