// What can be taken along of a search: its link, its results as a file, and itself under a name.

import { askFile } from "./api.js";
import { app, here } from "./app.js";
import { save } from "./download.js";
import { isFile } from "./files.js";
import { Icon } from "./icons.js";
import { remember, remembered, t } from "./language.js";
import { announce, ProblemBox } from "./notices.js";
import { bodyOf, filtersOf, isAsked, isForgotten, pictureTerms } from "./question.js";
import { link } from "./route.js";
import { short, textOf } from "./values.js";
import { html, useId, useState } from "./view.js";

/** Results of one file: the most that the server gives at once. */
const MOST = 1000;
const KEPT = "lookalike.searches";

/** Buttons for the search that the address says, and the searches that were saved in this collection. */
export function SearchTools({ params }) {
  const [saved, setSaved] = useState(load);
  const [naming, setNaming] = useState(false);
  const [{ error, address }, setState] = useState({ error: null, address: null });
  const { name } = app.collection;
  const put = (next) => {
    remember(KEPT, JSON.stringify(next));
    setSaved(next);
  };
  const mine = saved.filter((each) => each.collection === name);
  const held = pictureTerms(params).some(({ reference }) => isFile(reference));
  const used = isAsked(params) || params.has("f");
  const place = new URL(linkOf(params), location.href).href;
  const copy = async () => {
    setState({ error: null, address: null });
    try {
      await navigator.clipboard.writeText(place);
      announce(t("saved.copied"));
      setState({ error: null, address: t("saved.copied") });
    } catch {
      // Where a page may not write there, the visitor can.
      setState({ error: null, address: place });
    }
  };
  const download = async () => {
    try {
      save(await askFile("POST", `${here("search")}?format=csv`, whole(bodyOf(params, 0))), `${name}.csv`);
    } catch (problem) {
      setState({ error: problem, address: null });
      if (problem.status === undefined) throw problem;
    }
  };
  const keep = (given) => {
    const others = saved.filter((each) => each.collection !== name || each.name !== given);
    put([{ collection: name, name: given, params: textOfParams(params) }, ...others]);
    announce(t("saved.done"));
    setNaming(false);
  };
  if (!used && !mine.length) return null;
  const file = isAsked(params) && !isForgotten(params);
  return html`<div class="tools">
    ${used &&
    html`<span class="actions">
      <button type="button" class="quiet" disabled=${held} title=${held ? t("saved.held") : null} onclick=${copy}>
        <${Icon} name="link" />${t("saved.copy")}
      </button>
      <button
        type="button"
        class="quiet"
        disabled=${held}
        title=${held ? t("saved.held") : null}
        aria-expanded=${String(naming)}
        onclick=${() => setNaming(!naming)}
      >
        <${Icon} name="plus" />${t("saved.save")}
      </button>
      ${file &&
      html`<button type="button" class="quiet" onclick=${download}>
        <${Icon} name="download" />${t("download.csv")}
      </button>`}
    </span>`}
    ${mine.length > 0 &&
    html`<details class="saved">
      <summary>${t("saved.title", { count: mine.length })}</summary>
      <ul class="plain" role="list">
        ${mine.map(
          (each) => html`<li key=${each.name}>
            <a href=${linkOf(new URLSearchParams(each.params))}><bdi>${short(each.name, 80)}</bdi></a>
            <button
              type="button"
              class="quiet"
              aria-label=${t("saved.remove", { name: short(each.name, 80) })}
              onclick=${() => put(saved.filter((other) => other !== each))}
            >
              <${Icon} name="close" />
            </button>
          </li>`,
        )}
      </ul>
    </details>`}
    ${naming && !held && html`<${Naming} first=${titleOf(params)} keep=${keep} />`}
    ${address && html`<${Address} text=${address} place=${place} />`}
    ${error && html`<${ProblemBox} error=${error} />`}
  </div>`;
}

function load() {
  try {
    const found = JSON.parse(remembered(KEPT) ?? "[]");
    return found.filter((each) => [each.collection, each.name, each.params].every((text) => typeof text === "string"));
  } catch {
    return [];
  }
}

/** What a search consists of: what lies over its answer is no part of it. */
function textOfParams(params) {
  const kept = new URLSearchParams(params);
  for (const over of ["image", "compare"]) kept.delete(over);
  return kept.toString();
}

function linkOf(params) {
  const kept = new URLSearchParams(textOfParams(params));
  return link({ collection: app.collection.name, view: "search", params: kept });
}

/** Return what a search may be called: its words, or its filters. */
function titleOf(params) {
  const filters = Object.entries(filtersOf(params)).map(
    ([field, values]) => `${field} = ${values.map(textOf).join(", ")}`,
  );
  return [params.get("q"), ...filters].filter(Boolean).join(" · ");
}

/** Return the body of a request for all results that one answer may have. */
function whole({ json, form }) {
  if (json) return { json: { ...json, k: MOST } };
  form.set("query", JSON.stringify({ ...JSON.parse(form.get("query")), k: MOST }));
  return { form };
}

function Naming({ first, keep }) {
  const id = useId();
  const [name, setName] = useState(first);
  const send = (event) => {
    event.preventDefault();
    if (name.trim()) keep(name.trim());
  };
  return html`<form class="together" onsubmit=${send}>
    <label for=${id}>${t("saved.name")}</label>
    <input
      id=${id}
      type="text"
      required
      maxlength="200"
      dir="auto"
      autocomplete="off"
      value=${name}
      oninput=${(event) => setName(event.currentTarget.value)}
    />
    <button>${t("saved.keep")}</button>
  </form>`;
}

/** That the link was copied; or the link itself, to be copied by hand. */
function Address({ text, place }) {
  if (text !== place) return html`<p class="good" role="status"><${Icon} name="check" />${text}</p>`;
  return html`<input
    type="text"
    readonly
    aria-label=${t("saved.byhand")}
    value=${place}
    ref=${(input) => input?.select()}
  />`;
}
