// The view that searches.

import { ask } from "./api.js";
import { app, here } from "./app.js";
import { el, fill, fresh, icon, labelled, put } from "./dom.js";
import { pickButton, takeDropped } from "./drop.js";
import { hold } from "./files.js";
import { filterChips, filterPanel } from "./filters.js";
import { card, grid } from "./hits.js";
import { decimal, seconds, t } from "./language.js";
import { announce, problemBox, remark, report, said, waiting } from "./notices.js";
import { bodyOf, filtersOf, filtersText, isAsked, isForgotten, PAGE, PAGES, pageOf } from "./question.js";
import { change, go, read } from "./route.js";
import { addTerm, searchFrom, termChips } from "./terms.js";
import { textOf } from "./values.js";

/** Images as deep as which the server lets one page: `DEEPEST` in its schemas, less a page. */
const DEEPEST = 10_000 - 1001;
/** Kinds of the server's remarks that the page says in its own language; what a model says of itself is English. */
const SAID_HERE = ["unread", "plain", "recall"];

/** Show the view in a place; it stays until the signal ends it. */
export function showSearch(place, signal) {
  const words = el("input", {
    type: "search",
    id: fresh("words"),
    dir: "auto",
    autocomplete: "off",
    maxlength: "10000",
    placeholder: t("search.placeholder"),
  });
  const chips = el("ul", { class: "terms", "aria-label": t("terms.label"), role: "list" });
  const results = el("section", { class: "results", "aria-label": t("search.results") });
  const active = el("div", { class: "chips" });
  const choose = (where) => change({ f: filtersText(where) });
  const filters = filterPanel(() => filtersOf(read().params), choose);
  const options = optionsPanel();
  const anew = (files) => {
    words.value = "";
    change({ q: null, image: null, p: files.map((file) => `+${hold(file)}`) });
  };
  const more = (files) =>
    change({ image: null, p: [...read().params.getAll("p"), ...files.map((file) => `+${hold(file)}`)] });
  const form = el(
    "form",
    {
      class: "asker",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        change({ q: words.value.trim() || null });
      },
    },
    chips,
    el(
      "div",
      { class: "asker-row" },
      app.collection.texts
        ? [el("label", { for: words.id, class: "heard" }, t("search.words")), words]
        : el(
            "p",
            { class: "no-words" },
            t(app.collection.problem ? "search.nomodel" : "search.nowords", app.collection),
          ),
      pickButton(t("search.pick"), (files) => (read().params.has("p") ? more(files) : anew(files))),
      app.collection.texts && el("button", { class: "primary" }, icon("search"), t("search.go")),
    ),
    options.place,
  );
  const narrow = el(
    "details",
    { class: "filters", open: innerWidth > 860 },
    el("summary", {}, icon("filter"), t("filter.title")),
    filters.place,
  );
  fill(
    place,
    el("h1", { class: "heard" }, t("nav.search")),
    form,
    el("div", { class: "columns" }, narrow, el("div", {}, active, results)),
  );
  takeDropped(anew, signal);

  let shownFor = null;
  let shownText = null;
  let under = null;
  signal.addEventListener("abort", () => under?.abort());
  return (params) => {
    fill(chips, termChips(params));
    chips.hidden = !chips.firstChild;
    const text = params.get("q") ?? "";
    // What is being typed stays while something else changes.
    if (text !== shownText) words.value = text;
    shownText = text;
    options.refresh(params);
    if (isAsked(params)) filters.refresh();
    fill(active, filterChips(filtersOf(params), choose));
    narrow.hidden = !isAsked(params);
    const key = questionKey(params);
    if (key === shownFor) return;
    shownFor = key;
    under?.abort();
    under = new AbortController();
    if (!isAsked(params)) fill(results, welcome(anew));
    else if (isForgotten(params)) fill(results, remark(t("search.forgotten"), "warn"));
    else search(results, params, under.signal);
  };
}

/** What a question consists of: the details that lie over its answer are no part of it. */
function questionKey(params) {
  const asked = new URLSearchParams(params);
  asked.delete("image");
  return asked.toString();
}

function welcome(take) {
  const { count, texts } = app.collection;
  if (!count) return remark(t("search.empty"));
  return el(
    "div",
    { class: "welcome zone" },
    icon("picture"),
    el("p", { class: "lead" }, t(texts ? "search.welcome" : "search.welcomepictures", { count })),
    el("p", { class: "soft" }, t("search.how")),
    pickButton(t("search.choose"), take),
    texts && el("p", { class: "soft" }, t("search.sums")),
  );
}

function optionsPanel() {
  const flag = (name, label, on = "1") => {
    const box = el("input", {
      type: "checkbox",
      "data-name": name,
      onchange: () => change({ [name]: box.checked ? on : null }),
    });
    return el("label", { class: "choice" }, box, label);
  };
  const index = app.collection.approximation;
  const size = el(
    "select",
    { onchange: () => change({ k: size.value === String(PAGE) ? null : size.value }) },
    PAGES.map((each) => el("option", { value: each }, t("search.page", { count: each }))),
  );
  const place = el(
    "details",
    { class: "options" },
    el("summary", {}, t("options")),
    el(
      "div",
      { class: "option-list" },
      labelled(t("search.size"), size),
      app.collection.texts && flag("hybrid", t("search.hybrid")),
      flag("cutoff", t("search.cutoff"), "auto"),
      index && flag("near", t("search.approximate", { recall: decimal(index.recall, 3) })),
    ),
  );
  const refresh = (params) => {
    size.value = String(pageOf(params));
    for (const box of place.querySelectorAll("input")) {
      box.checked = params.has(box.dataset.name);
      if (box.checked) place.open = true;
    }
  };
  return { place, refresh };
}

const ACTIONS = () => [
  { drawing: "search", label: t("details.search"), act: (hit) => searchFrom(hit.id) },
  { drawing: "plus", label: t("details.add"), act: (hit) => addTerm("+", hit.id) },
  { drawing: "minus", label: t("details.subtract"), act: (hit) => addTerm("-", hit.id) },
];

async function search(place, params, signal) {
  place.setAttribute("aria-busy", "true");
  // What is there stays until the answer comes: nothing jumps.
  const old = place.querySelector(".grid");
  if (old) old.classList.add("stale");
  else fill(place, waiting(t("search.waiting")));
  const begun = performance.now();
  try {
    const answer = await ask("POST", here("search"), { ...bodyOf(params, 0), signal });
    const took = (performance.now() - begun) / 1000;
    const list = grid(t("search.results"));
    const total = el("p", { class: "soft status" });
    fill(place, total, remarks(answer), answer.hits.length ? list : nothing(answer, params));
    const add = (hits) =>
      put(
        list,
        hits.map((hit) => card(hit, { actions: ACTIONS() })),
      );
    add(answer.hits);
    const tell = (count, isMore) => {
      total.textContent = `${t(isMore ? "search.first" : "search.all", { count })} · ${seconds(took)}`;
      announce(t(isMore ? "search.first" : "search.all", { count }));
    };
    tell(answer.hits.length, answer.more);
    if (answer.more) put(place, moreButton(params, answer.hits.length, signal, add, tell));
  } catch (error) {
    report(place, error, () => search(place, params, signal));
  } finally {
    if (!signal.aborted) place.removeAttribute("aria-busy");
  }
}

function moreButton(params, count, signal, add, tell) {
  const told = el("div", {});
  const button = el("button", { type: "button", class: "wide" }, t("more"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    told.replaceChildren();
    try {
      const answer = await ask("POST", here("search"), { ...bodyOf(params, count), signal });
      count += answer.hits.length;
      add(answer.hits);
      const on = answer.more && count <= DEEPEST;
      tell(count, on);
      button.hidden = !on;
    } catch (error) {
      if (error.status === undefined) {
        if (error.name === "AbortError") return;
        throw error;
      }
      fill(told, problemBox(error));
    } finally {
      button.disabled = false;
    }
  });
  return el("div", { class: "more" }, told, button);
}

function remarks(answer) {
  const lines = answer.remarks.map((each, place) => {
    const kind = answer.remark_kinds[place];
    return SAID_HERE.includes(kind) ? el("li", {}, t(`search.${kind}`, answer)) : said(each, "li");
  });
  if (answer.approximation) {
    const { kind, recall, k } = answer.approximation;
    lines.push(el("li", {}, t("search.approximated", { kind, k, recall: decimal(recall, 3) })));
  }
  if (answer.cutoff)
    lines.push(el("li", {}, t("search.cutat", { similarity: decimal(answer.cutoff.similarity, 3) })));
  if (answer.left_out) lines.push(el("li", {}, t("search.leftout", { count: answer.left_out })));
  return lines.length > 0 && el("ul", { class: "remarks" }, lines);
}

function nothing(answer, params) {
  const filtered = Object.entries(filtersOf(params)).map(
    ([field, values]) => `${field} = ${values.map(textOf).join(", ")}`,
  );
  const lines = [t("search.nothing")];
  if (answer.cutoff && answer.best !== null)
    lines.push(t("search.best", { similarity: decimal(answer.best, 3) }));
  const clear = () => go({ ...read(), params: without(read().params, "f", "cutoff") });
  return el(
    "div",
    { class: "welcome" },
    icon("search"),
    el("p", { class: "lead" }, lines.join(" ")),
    (filtered.length > 0 || params.has("cutoff")) &&
      el("button", { type: "button", onclick: clear }, t("search.clear")),
  );
}

function without(params, ...names) {
  const left = new URLSearchParams(params);
  for (const name of names) left.delete(name);
  return left;
}
