// The view that classifies.

import { ask } from "./api.js";
import { app, chooseLabelField, here, labelField } from "./app.js";
import { el, fill, icon, labelled, put } from "./dom.js";
import { pickButton, takeDropped } from "./drop.js";
import { heldFile, hold, isFile } from "./files.js";
import { decimal, t } from "./language.js";
import { announce, remark, report, said, waiting } from "./notices.js";
import { predictionArticle } from "./prediction.js";
import { change } from "./route.js";
import { short } from "./values.js";

const KS = ["1", "3", "5", "10", "20", "auto"];

/** Pictures of one request: answers appear as they come. */
const TOGETHER = 8;

/** Show the view in a place; it stays until the signal ends it. */
export function showClassify(place, signal) {
  if (!app.collection.fields.length) {
    fill(place, el("h1", {}, t("nav.classify")), remark(t("classify.nofields")));
    return () => {};
  }
  const results = el("section", { class: "predictions", "aria-label": t("classify.results") });
  const take = (files) => change({ p: files.map(hold), image: null });
  const controls = controlsPanel(take);
  fill(place, el("h1", { class: "heard" }, t("nav.classify")), controls.place, results);
  takeDropped(take, signal);
  let shownFor = null;
  let under = null;
  signal.addEventListener("abort", () => under?.abort());
  return (params) => {
    controls.refresh(params);
    const question = questionOf(params);
    const key = JSON.stringify(question);
    if (key === shownFor) return;
    shownFor = key;
    under?.abort();
    under = new AbortController();
    if (!question.references.length) fill(results, welcome(take));
    else classify(results, question, under.signal);
  };
}

function questionOf(params) {
  const by = params.get("by");
  const k = params.get("k");
  const part = (name) =>
    Number(params.get(name)) > 0 && Number(params.get(name)) < 100
      ? Number(params.get(name)) / 100
      : undefined;
  return {
    by: app.collection.fields.includes(by) ? by : labelField(),
    k: KS.includes(k) ? (k === "auto" ? k : Number(k)) : 5,
    references: params.getAll("p").map((each) => each.replace(/^[+-]/, "")),
    max_error: part("error"),
    coverage: part("coverage"),
    approximate: params.has("near") || undefined,
  };
}

function welcome(take) {
  return el(
    "div",
    { class: "welcome zone" },
    icon("tag"),
    el("p", { class: "lead" }, t("classify.welcome")),
    el("p", { class: "soft" }, t("classify.how")),
    pickButton(t("classify.pick"), take, { kind: "primary" }),
  );
}

function controlsPanel(take) {
  const by = el(
    "select",
    {
      onchange: () => {
        chooseLabelField(by.value);
        change({ by: by.value });
      },
    },
    app.collection.fields.map((each) => el("option", { value: each }, short(each, 80))),
  );
  const k = el(
    "select",
    { onchange: () => change({ k: k.value }) },
    KS.map((each) => el("option", { value: each }, each === "auto" ? t("classify.auto") : each)),
  );
  const part = (name) =>
    el("input", {
      type: "number",
      min: "0.1",
      max: "99.9",
      step: "any",
      "data-name": name,
      onchange: (event) => change({ [name]: event.target.value }),
    });
  const index = app.collection.approximation;
  const near = el("input", { type: "checkbox", onchange: () => change({ near: near.checked ? "1" : null }) });
  const [error, coverage] = [part("error"), part("coverage")];
  const pick = pickButton(t("classify.pick"), take, { kind: "primary" });
  const place = el(
    "section",
    { class: "asker", "aria-label": t("classify.question") },
    el("div", { class: "asker-row" }, pick, labelled(t("classify.by"), by), labelled(t("classify.k"), k)),
    el(
      "details",
      { class: "options" },
      el("summary", {}, t("options")),
      el(
        "div",
        { class: "option-list" },
        labelled(t("classify.maxerror"), error, "%"),
        labelled(t("classify.coverage"), coverage, "%"),
        index &&
          el(
            "label",
            { class: "choice" },
            near,
            t("search.approximate", { recall: decimal(index.recall, 3) }),
          ),
      ),
    ),
  );
  const refresh = (params) => {
    const question = questionOf(params);
    pick.hidden = !question.references.length;
    by.value = question.by;
    k.value = String(question.k);
    near.checked = Boolean(question.approximate);
    for (const input of [error, coverage])
      if (document.activeElement !== input) input.value = params.get(input.dataset.name) ?? "";
  };
  return { place, refresh };
}

async function classify(place, question, signal) {
  const wait = waiting(t("classify.waiting", { count: question.references.length }));
  fill(place, wait);
  place.setAttribute("aria-busy", "true");
  let rest = question.references;
  const forgotten = rest.filter((each) => isFile(each) && !heldFile(each));
  if (forgotten.length) {
    rest = rest.filter((each) => !forgotten.includes(each));
    place.prepend(remark(t("search.forgotten"), "warn"));
  }
  let count = 0;
  try {
    while (rest.length) {
      const references = rest.slice(0, Math.min(TOGETHER, app.service.limits.images));
      const answer = await ask("POST", here("classify"), { ...bodyOf(question, references), signal });
      const ordered = [...references.filter(isFile), ...references.filter((each) => !isFile(each))];
      const images = await Promise.all(
        ordered.map((each) => (isFile(each) ? null : ask("GET", here("images", each), { signal }))),
      );
      const found = ordered.map((each, n) =>
        predictionArticle(answer.predictions[n], each, question.by, images[n], () =>
          explain(question, each, signal),
        ),
      );
      if (!count) wait.before(...remarksOf(answer));
      wait.before(...found.map(({ article }) => article));
      judge(found, signal);
      count += references.length;
      rest = rest.slice(references.length);
    }
    wait.remove();
    announce(t("classify.done", { count }));
  } catch (error) {
    wait.remove();
    const told = put(place, el("div", {})).lastChild;
    report(told, error, () => classify(place, { ...question, references: rest }, signal));
  } finally {
    if (!signal.aborted) place.removeAttribute("aria-busy");
  }
}

/** Ask why a picture was classified so. */
async function explain(question, reference, signal) {
  const asked = bodyOf({ ...question, explain: true }, [reference]);
  const { predictions } = await ask("POST", here("classify"), { ...asked, signal });
  return predictions[0].explanation ?? predictions[0];
}

/** Ask of one picture after the other whether it is normal: the answers appear as they come. */
async function judge(found, signal) {
  for (const each of found) await each.judge(signal);
}

function remarksOf(answer) {
  const lines = answer.remarks.map((each) => said(each, "li"));
  if (answer.approximation) {
    const { kind, recall, k } = answer.approximation;
    lines.push(el("li", {}, t("search.approximated", { kind, k, recall: decimal(recall, 3) })));
  }
  return lines.length ? [el("ul", { class: "remarks" }, lines)] : [];
}

function bodyOf(question, some) {
  const query = { ...question, references: undefined, ids: some.filter((each) => !isFile(each)) };
  const files = some.filter(isFile).map((each) => heldFile(each).file);
  if (!files.length) return { json: query };
  const form = new FormData();
  form.append("query", JSON.stringify(query));
  for (const file of files) form.append("image", file, file.name || "pasted");
  return { form };
}
