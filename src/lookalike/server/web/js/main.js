// The page: its frame, and the view that the address names.

import { whenLocked } from "./api.js";
import { app, load, open } from "./app.js";
import { showClassify } from "./classify.js";
import { showDetails } from "./details.js";
import { el, fill } from "./dom.js";
import { showIndex } from "./indexing.js";
import { showJudge } from "./judge.js";
import { askForKey, signOut } from "./keys.js";
import { language, LANGUAGES, number, speak, t } from "./language.js";
import { listenForLayers } from "./layers.js";
import { remark, report, waiting } from "./notices.js";
import { go, link, onMove, read } from "./route.js";
import { showSearch } from "./search.js";
import { short } from "./values.js";

/** Each fills a place and returns what to call with the parameters and the tab whenever they change. */
const VIEWS = { search: showSearch, classify: showClassify, judge: showJudge, index: showIndex };

const main = document.getElementById("main");
const bar = document.getElementById("bar");
const skip = document.getElementById("skip");

let mounted = null;
let update = null;
let under = null;

function frame(view) {
  const name = app.collection?.name ?? "";
  const tabs = Object.keys(VIEWS).map((each) =>
    el(
      "a",
      { href: link({ collection: name, view: each }), "aria-current": each === view ? "page" : null },
      t(`nav.${each}`),
    ),
  );
  const collections = el(
    "select",
    {
      "aria-label": t("collection"),
      onchange: () => go({ collection: collections.value, view: read().view }),
    },
    app.collections.map((each) =>
      el(
        "option",
        { value: each.name, selected: each.name === name },
        `${short(each.name, 60)} (${number(each.count)})`,
      ),
    ),
  );
  const languages = el(
    "select",
    { "aria-label": t("language"), onchange: () => change(languages.value) },
    Object.entries(LANGUAGES).map(([code, each]) =>
      el("option", { value: code, lang: code, selected: code === language() }, each),
    ),
  );
  const leave = async () => {
    await signOut();
    location.reload();
  };
  fill(
    bar,
    el(
      "a",
      { class: "brand", href: link({ collection: name, view: "search" }) },
      el("span", { class: "logo", "aria-hidden": "true" }),
      "lookalike",
    ),
    el("nav", { class: "views", "aria-label": t("nav.views") }, tabs),
    el(
      "div",
      { class: "settings" },
      app.collections.length > 0 && collections,
      languages,
      app.service?.keys && el("button", { type: "button", onclick: leave }, t("key.out")),
    ),
  );
}

function change(name) {
  const focused = document.activeElement?.getAttribute("aria-label");
  speak(name);
  skip.textContent = t("skip");
  mounted = null;
  show();
  if (focused) bar.querySelector(".settings select:last-of-type")?.focus();
}

/** Show what the address says. */
function show() {
  const route = read();
  open(route.collection);
  const name = app.collection?.name ?? null;
  document.title = `${t(`nav.${route.view}`)} · ${name ? `${short(name, 60)} · ` : ""}lookalike`;
  if (!app.collection) {
    frame(route.view);
    fill(
      main,
      el("h1", {}, t("nocollection")),
      el("p", {}, t("nocollection.how")),
      el("pre", {}, "lookalike index FOLDER"),
    );
    return;
  }
  const key = JSON.stringify([name, route.view]);
  if (key !== mounted) {
    const moving = mounted !== null;
    mounted = key;
    under?.abort();
    under = new AbortController();
    frame(route.view);
    update = VIEWS[route.view](main, under.signal);
    if (route.collection && route.collection !== name) {
      main.prepend(remark(t("collection.missing", { name: short(route.collection, 60) }), "warn"));
    }
    // A new view begins at its top, for the eye and for a screen reader.
    if (moving) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
  }
  update(route.params, route.tab);
  showDetails(route.params.get("image"));
}

async function start() {
  fill(main, waiting(t("waiting")));
  try {
    await load();
  } catch (error) {
    report(main, error, start);
    return;
  }
  onMove(show);
  document.addEventListener("collections-changed", () => frame(read().view));
  show();
  document.documentElement.dataset.ready = "yes";
}

function prepare() {
  document.documentElement.lang = language();
  skip.textContent = t("skip");
  // Not the browser's own way: what stands after the # is the view.
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  whenLocked(askForKey);
  listenForLayers();
  // A browser would leave the page for a file that is dropped where no view takes it.
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
  }
}

prepare();
start();
