// The view that searches.

import { ask } from "./api.js";
import { app, here } from "./app.js";
import { Browse } from "./browse.js";
import { Chosen } from "./chosen.js";
import { Check, Select } from "./controls.js";
import { DropZone, PickButton } from "./drop.js";
import { hold } from "./files.js";
import { FilterChips, Filters } from "./filters.js";
import { Gallery } from "./gallery.js";
import { Icon } from "./icons.js";
import { decimal, remember, remembered, seconds, t } from "./language.js";
import { listed } from "./listing.js";
import { announce, ProblemBox, Remark, Said, Waiting } from "./notices.js";
import { bodyOf, filtersOf, filtersText, isAsked, isForgotten, MOST_TERMS, PAGE, PAGES, pageOf } from "./question.js";
import { change, go, read } from "./route.js";
import { SearchTools } from "./saved.js";
import { useSelection } from "./selection.js";
import { addTerm, searchFrom, Terms } from "./terms.js";
import { textOf } from "./values.js";
import { html, useAnswer, useEffect, useId, useMemo, useRef, useState } from "./view.js";

/** Images as deep as which the server lets one page: `DEEPEST` in its schemas, less a page. */
const DEEPEST = 10_000 - 1001;
/** Kinds of the server's remarks that the page says in words of its own. */
const SAID_HERE = ["unread", "plain", "recall"];

/** The view; `params` are those of the address. */
export function Search({ params }) {
  const where = filtersOf(params);
  const choose = (next) => change({ f: filtersText(next) });
  const [over, setOver] = useState(null);
  const asks = (before, files, changes) => {
    const most = Math.min(MOST_TERMS, app.service.limits.images);
    const room = Math.max(0, most - before.length);
    change({ image: null, ...changes, p: [...before, ...files.slice(0, room).map((file) => `+${hold(file)}`)] });
    setOver(files.length > room ? { count: files.length - room, most, of: questionKey(read().params) } : null);
  };
  const anew = (files) => asks([], files, { q: null });
  const more = (files) => asks(params.getAll("p"), files);
  const asked = isAsked(params);
  const key = questionKey(params);
  return html`<h1 class="heard">${t("nav.search")}</h1>
    <${Asker} params=${params} take=${params.has("p") ? more : anew} />
    <div class="columns">
      <details class="filters" open=${innerWidth > 860}>
        <summary><${Icon} name="filter" />${t("filter.title")}</summary>
        <${Filters} where=${where} choose=${choose} />
      </details>
      <div>
        <${FilterChips} where=${where} choose=${choose} />
        ${over?.of === key && html`<${Remark} kind="warn">${t("search.most", over)}<//>`}
        <${SearchTools} key=${key} params=${params} />
        ${!asked
          ? html`<${Browse} params=${params} where=${where} />`
          : isForgotten(params)
            ? html`<section class="results"><${Remark} kind="warn">${t("search.forgotten")}<//></section>`
            : html`<${Results} params=${params} question=${key} />`}
      </div>
    </div>
    <${DropZone} take=${anew} />`;
}

/** What a question consists of: the details that lie over its answer are no part of it. */
function questionKey(params) {
  const asked = new URLSearchParams(params);
  for (const over of ["image", "compare"]) asked.delete(over);
  return asked.toString();
}

function Asker({ params, take }) {
  const words = useId();
  const input = useRef(null);
  const text = params.get("q") ?? "";
  const [typed, setTyped] = useState(text);
  // What is being typed stays while something else changes, but for the first picture.
  useEffect(() => setTyped(text), [text, params.has("p")]);
  const { texts, problem } = app.collection;
  const send = (event) => {
    event.preventDefault();
    // What a browser fills in by itself is not typed.
    change({ q: input.current.value.trim() || null });
  };
  return html`<form class="asker" role="search" onsubmit=${send}>
    <${Terms} params=${params} />
    <div class="asker-row">
      ${texts
        ? html`<label for=${words} class="heard">${t("search.words")}</label>
            <input
              ref=${input}
              type="search"
              id=${words}
              dir="auto"
              autocomplete="off"
              maxlength="10000"
              placeholder=${t("search.placeholder")}
              value=${typed}
              oninput=${(event) => setTyped(event.currentTarget.value)}
            />`
        : html`<p class="no-words">${t(problem ? "search.nomodel" : "search.nowords", app.collection)}</p>`}
      <${PickButton} label=${t("search.pick")} take=${take} />
      ${texts && html`<button class="primary"><${Icon} name="search" />${t("search.go")}</button>`}
    </div>
    <${Options} params=${params} />
  </form>`;
}

function Options({ params }) {
  const index = app.collection.approximation;
  const flag = (name, label, on = "1") =>
    html`<${Check}
      label=${label}
      checked=${params.has(name)}
      onchange=${(event) => change({ [name]: event.currentTarget.checked ? on : null })}
    />`;
  const sizes = PAGES.map((each) => [each, t("search.page", { count: each })]);
  const sized = (event) => change({ k: event.currentTarget.value === String(PAGE) ? null : event.currentTarget.value });
  const used = ["hybrid", "cutoff", "near"].some((each) => params.has(each));
  const [open, setOpen] = useState(used);
  return html`<details class="options" open=${open || used} ontoggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>${t("options")}</summary>
    <div class="option-list">
      <${Select} label=${t("search.size")} options=${sizes} chosen=${pageOf(params)} onchange=${sized} />
      ${app.collection.texts && flag("hybrid", t("search.hybrid"))} ${flag("cutoff", t("search.cutoff"), "auto")}
      ${index && flag("near", t("search.approximate", { recall: decimal(index.recall, 3) }))}
    </div>
  </details>`;
}

const ACTIONS = () => [
  { drawing: "search", label: t("details.search"), act: (hit) => searchFrom(hit.id) },
  { drawing: "plus", label: t("details.add"), act: (hit) => addTerm("+", hit.id) },
  { drawing: "minus", label: t("details.subtract"), act: (hit) => addTerm("-", hit.id) },
];

/** What was found; `question` says what was asked. */
function Results({ params, question }) {
  const first = useAnswer(question, async (signal) => {
    const begun = performance.now();
    const answer = await ask("POST", here("search"), { ...bodyOf(params, 0), signal });
    return { ...answer, question, took: (performance.now() - begun) / 1000 };
  });
  const { answer, busy, error, again } = first;
  const rest = useRest(params, first);
  const list = useMemo(
    () => ({ ...listed([...(answer?.hits ?? []), ...rest.hits]), renew: again }),
    [answer, rest.hits],
  );
  const hits = list.total;
  const selection = useSelection(question, list);
  const said = answer && t(rest.more ? "search.first" : "search.all", { count: hits });
  useEffect(() => said && !busy && announce(said), [said, busy]);
  return html`<section class="results" aria-label=${t("search.results")} aria-busy=${busy ? "true" : null}>
    ${busy && !answer && html`<${Waiting} text=${t("search.waiting")} />`}
    ${error && html`<${ProblemBox} error=${error} again=${again} />`}
    ${answer &&
    html`<p class="soft status">${said} · ${seconds(answer.took)}</p>
      <${Remarks} answer=${answer} />
      ${hits
        ? html`<${Gallery}
              label=${t("search.results")}
              list=${list}
              selection=${selection}
              kind=${busy ? "stale" : ""}
              caption=${answer.hits[0].by_vectors || answer.hits[0].by_words ? 122 : 104}
              actions=${ACTIONS()}
            />`
        : html`<${Nothing} answer=${answer} params=${params} />`}
      <${Chosen} selection=${selection} list=${list} />
      ${rest.more && !busy && html`<${More} rest=${rest} />`}`}
  </section>`;
}

const NONE = [];

/** Further pages of an answer: {hits, more, next, busy, error}. */
function useRest(params, { answer, busy: anew }) {
  const [rest, setRest] = useState({ of: null, hits: [], more: false, busy: false, error: null });
  const current =
    rest.of === answer ? rest : { of: answer, hits: NONE, more: Boolean(answer?.more), busy: false, error: null };
  const next = async () => {
    if (anew || current.busy) return;
    setRest({ ...current, busy: true, error: null });
    const told = (changes) => setRest((now) => (now.of === answer ? { ...now, busy: false, ...changes } : now));
    try {
      const offset = answer.hits.length + current.hits.length;
      const found = await ask("POST", here("search"), bodyOf(params, offset));
      told({
        hits: [...current.hits, ...found.hits],
        more: found.more && offset + found.hits.length <= DEEPEST,
      });
    } catch (error) {
      told({ error });
      if (error.status === undefined) throw error;
    }
  };
  return { ...current, next };
}

function More({ rest: { next, busy, error } }) {
  return html`<div class="more">
    ${error && html`<${ProblemBox} error=${error} />`}
    <button type="button" class="wide" disabled=${busy} onclick=${next}>${t("more")}</button>
  </div>`;
}

function Remarks({ answer }) {
  const { remarks, remark_kinds: kinds, approximation, cutoff, left_out: left } = answer;
  const lines = remarks.map((each, place) => {
    const kind = kinds[place];
    if (kind === "vocabulary") return html`<${Vocabulary} key=${kind} text=${each} model=${answer.model} />`;
    return SAID_HERE.includes(kind)
      ? html`<li>${t(`search.${kind}`, answer)}</li>`
      : html`<${Said} text=${each} tag="li" />`;
  });
  const also = (text) => lines.push(html`<li>${text}</li>`);
  if (approximation)
    also(t("search.approximated", { ...approximation, recall: decimal(approximation.recall, 3) }));
  if (cutoff) also(t("search.cutat", { similarity: decimal(cutoff.similarity, 3) }));
  if (left) also(t("search.leftout", { count: left }));
  if (answer.hits.length && answer.hits.every(({ weak }) => weak)) also(t("search.allweak"));
  return lines.length > 0 && html`<ul class="remarks">${lines}</ul>`;
}

/** What the model knows that reads the words; who has read it need not see it again. */
function Vocabulary({ text, model }) {
  const name = model ?? app.collection.model;
  const kept = `lookalike.vocabulary.${name}`;
  const [read, setRead] = useState(remembered(kept) !== null);
  if (read) return null;
  const dismiss = () => {
    remember(kept, "read");
    setRead(true);
  };
  return html`<li class="dismissed">
    <${Said} text=${text} tag="span" />
    <button type="button" class="quiet" aria-label=${t("search.read")} title=${t("search.read")} onclick=${dismiss}>
      <${Icon} name="close" />
    </button>
  </li>`;
}

function Nothing({ answer, params }) {
  const filtered = Object.entries(filtersOf(params)).map(
    ([field, values]) => `${field} = ${values.map(textOf).join(", ")}`,
  );
  const lines = [t("search.nothing")];
  if (answer.cutoff && answer.best !== null)
    lines.push(t("search.best", { similarity: decimal(answer.best, 3) }));
  const clear = () => go({ ...read(), params: without(read().params, "f", "cutoff") });
  return html`<div class="welcome">
    <${Icon} name="search" />
    <p class="lead">${lines.join(" ")}</p>
    ${(filtered.length > 0 || params.has("cutoff")) &&
    html`<button type="button" onclick=${clear}>${t("search.clear")}</button>`}
  </div>`;
}

function without(params, ...names) {
  const left = new URLSearchParams(params);
  for (const name of names) left.delete(name);
  return left;
}
