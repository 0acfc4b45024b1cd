// The page: its frame, and the view that the address names.

import { whenLocked } from "./api.js";
import { app, load, mayWrite, open } from "./app.js";
import { Classify } from "./classify.js";
import { Comparison } from "./comparison.js";
import { Details } from "./details.js";
import { Index } from "./indexing.js";
import { Judge } from "./judge.js";
import { askForKey, signOut } from "./keys.js";
import { language, LANGUAGES, number, speak, t } from "./language.js";
import { listenForLayers } from "./layers.js";
import { NewCollection } from "./new_collection.js";
import { ProblemBox, Remark, Waiting } from "./notices.js";
import { go, link, onMove, read } from "./route.js";
import { Search } from "./search.js";
import { short } from "./values.js";
import { html, render } from "./view.js";

/** Each is a component that takes what the address says: the parameters and the tab. */
const VIEWS = {
  search: Search,
  classify: Classify,
  judge: Judge,
  index: Index,
};

const main = document.getElementById("main");
const bar = document.getElementById("bar");
const over = document.getElementById("over");
const skip = document.getElementById("skip");

let mounted = null;

/** The bar at the top: the views, the collections, the languages. */
function Bar({ view }) {
  const name = app.collection?.name ?? "";
  const leave = async () => {
    await signOut();
    location.reload();
  };
  return html`<a class="brand" href=${link({ collection: name, view: "search" })}>
      <span class="logo" aria-hidden="true"></span>
      lookalike
    </a>
    <nav class="views" aria-label=${t("nav.views")}>
      ${Object.keys(VIEWS).map(
        (each) =>
          html`<a href=${link({ collection: name, view: each })} aria-current=${each === view ? "page" : null}>
            ${t(`nav.${each}`)}
          </a>`,
      )}
    </nav>
    <div class="settings">
      ${app.collections.length > 0 &&
      html`<select
        aria-label=${t("collection")}
        value=${name}
        onchange=${(event) => go({ collection: event.currentTarget.value, view: read().view })}
      >
        ${app.collections.map(
          (each) =>
            html`<option key=${each.name} value=${each.name} selected=${each.name === name}>
              ${`${short(each.name, 60)} (${gone(each) ? t("collection.gone") : number(each.count)})`}
            </option>`,
        )}
      </select>`}
      <select
        aria-label=${t("language")}
        value=${language()}
        onchange=${(event) => change(event.currentTarget.value)}
      >
        ${Object.entries(LANGUAGES).map(
          ([code, each]) =>
            html`<option value=${code} lang=${code} selected=${code === language()}>${each}</option>`,
        )}
      </select>
      ${app.service?.keys && html`<button type="button" onclick=${leave}>${t("key.out")}</button>`}
    </div>`;
}

function change(name) {
  speak(name);
  skip.textContent = t("skip");
  show();
}

/** Whether a collection is of a table of others that is not there any more. */
function gone({ problem }) {
  return problem === "TableGone";
}

/** What the address names, with a word on a collection that is not there. */
function Content({ route }) {
  const View = VIEWS[route.view];
  const { name } = app.collection;
  return html`${route.collection &&
    route.collection !== name &&
    html`<${Remark} kind="warn">${t("collection.missing", { name: short(route.collection, 60) })}<//>`}
    ${
      gone(app.collection)
        ? html`<${Remark} kind="warn">${t("collection.gone.how", { name })}<//>`
        : html`<${View} params=${route.params} tab=${route.tab} />`
    }`;
}

/** What the address lays over the view. */
function Over({ params }) {
  const shown = params.get("image");
  const compared = params.getAll("compare");
  return html`${shown && html`<${Details} key="details" id=${shown} />`}
  ${compared.length > 0 && html`<${Comparison} key=${compared.join(" ")} ids=${compared} />`}`;
}

function NoCollection() {
  return html`<h1>${t("nocollection")}</h1>
    <p>${t("nocollection.how")}</p>
    <pre>lookalike index FOLDER</pre>
    ${mayWrite() && html`<section class="box"><h2>${t("new.title")}</h2><${NewCollection} /></section>`}`;
}

/** Show what the address says. */
function show() {
  const route = read();
  open(route.collection);
  const name = app.collection?.name ?? null;
  document.title = `${t(`nav.${route.view}`)} · ${name ? `${short(name, 60)} · ` : ""}lookalike`;
  render(html`<${Bar} view=${route.view} />`, bar);
  // Another collection, view or language is another page: nothing of the one before stays.
  const key = JSON.stringify([name, route.view, language()]);
  render(name ? html`<${Content} key=${key} route=${route} />` : html`<${NoCollection} key=${key} />`, main);
  render(name && html`<${Over} key=${key} params=${route.params} />`, over);
  const place = JSON.stringify([name, route.view]);
  const moved = mounted !== null && mounted !== place;
  mounted = place;
  // A new view begins at its top, for the eye and for a screen reader.
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

async function start() {
  render(html`<${Waiting} />`, main);
  try {
    await load();
  } catch (error) {
    render(html`<${ProblemBox} error=${error} again=${start} />`, main);
    if (error.status === undefined) throw error;
    return;
  }
  onMove(show);
  document.addEventListener("collections-changed", show);
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

// What stands there for a browser without scripts.
main.replaceChildren();
prepare();
start();
