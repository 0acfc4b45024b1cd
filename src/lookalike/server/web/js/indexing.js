// The view of what is indexed: make a collection, index a folder, bring it up to date, and add pictures.

import { ask } from "./api.js";
import { Adding } from "./adding.js";
import { app, here, loadCollections, mayWrite, whyNoImages } from "./app.js";
import { Check, Select } from "./controls.js";
import { DownloadLink } from "./download.js";
import { FolderPicker } from "./folder_picker.js";
import { JobResult, jobPath, jobsOf, startJob } from "./jobs.js";
import { bytes, decimal, number, seconds, t } from "./language.js";
import { Answer, ProblemBox, Said } from "./notices.js";
import { NewCollection } from "./new_collection.js";
import { Tile } from "./tables.js";
import { short } from "./values.js";
import { html, useAnswer, useState } from "./view.js";

const LABELS = ["auto", "folders", "json", "table", "xml", "yolo", "none"];
/** Frames that are taken of films: as `--frames` has them. */
const FRAMES = ["scene", "every:1s", "every:10s", "every:1min"];
/** Names of a list that are shown. */
const LISTED = 100;

/** The view. */
export function Index() {
  const { name, count } = app.collection;
  const refused = whyNoImages();
  return html`<h1 class="heard">${t("nav.index")}</h1>
    <section class="box">
      <h2><bdi>${short(name, 100)}</bdi></h2>
      <${Facts} collection=${app.collection} />
      <span class="actions"><${DownloadLink} href=${here("export")} /></span>
    </section>
    ${refused
      ? html`<p class="notice">${refused}</p>`
      : html`<${Jobs} empty=${count === 0} />
          <${Adding} changed=${loadCollections} />`}
    ${mayWrite() &&
    html`<details class="box">
      <summary>${t("new.title")}</summary>
      <${NewCollection} />
    </details>`}`;
}

function Facts({ collection: { count, fields, fitted_by: fitted, texts, vectors } }) {
  const row = (key, value) =>
    html`<div>
      <dt>${t(key)}</dt>
      <dd>${value}</dd>
    </div>`;
  const tags = fields.map((each) => html`<span class="tag"><bdi>${short(each, 60)}</bdi></span>`);
  return html`<dl class="facts">
    ${row("index.images", number(count))} ${row("index.fields", fields.length ? tags : t("value.none"))}
    ${row("index.texts", t(texts ? "yes" : "no"))}
    ${row("index.fitted", fitted ? html`<bdi>${short(fitted, 60)}</bdi>` : t("no"))}
    ${row(
      "index.vectors",
      html`<ul class="plain vectors">
        ${vectors.map((each) => html`<${Vector} vector=${each} />`)}
      </ul>`,
    )}
  </dl>`;
}

/** What is known of a named vector of a collection. */
function Vector({ vector }) {
  const { name, model, dimension, ready, default: chosen, lacking, bytes: size, approximation } = vector;
  const facts = [
    chosen && t("index.default"),
    !ready && t("index.lacking", { count: lacking }),
    bytes(size),
    approximation && `${approximation.kind}, recall@${approximation.k} ${decimal(approximation.recall, 3)}`,
  ];
  return html`<li>
    <b>${name}</b> <bdi>${`${model} (${number(dimension)})`}</bdi>
    <span class="soft"> ${facts.filter(Boolean).join(" · ")}</span>
  </li>`;
}

/** What can be indexed, and what became of what was. */
function Jobs({ empty }) {
  const latest = useAnswer("index", (signal) => jobsOf("index", signal));
  const [started, setStarted] = useState(null);
  const [error, setError] = useState(null);
  const start = async (asked) => {
    setError(null);
    try {
      setStarted((await startJob("indexings", asked)).id);
    } catch (problem) {
      setError(problem);
      if (problem.status === undefined) throw problem;
    }
  };
  const id = started ?? latest.answer?.[0]?.id;
  return html`<section class="box">
      <h2>${t("folder.title")}</h2>
      <p class="soft">${t("folder.what")}</p>
      ${empty ? html`<${Folder} start=${start} />` : html`<${Closed}><${Folder} start=${start} /><//>`}
    </section>
    <section class="box">
      <h2>${t("index.again")}</h2>
      <p class="soft">${t("index.againwhat")}</p>
      <${Again} start=${start} />
      ${error && html`<${ProblemBox} error=${error} />`}
      <div class="result">
        ${id &&
        html`<${JobResult} key=${id} id=${id} fresh=${started !== null} ended=${loadCollections}>
          ${(job) => html`<${Report} job=${job} />`}
        <//>`}
      </div>
    </section>`;
}

/** Something that is asked for only when it is opened. */
function Closed({ children }) {
  const [open, setOpen] = useState(false);
  return html`<details ontoggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>${t("folder.choose")}</summary>
    ${open && children}
  </details>`;
}

function labelOptions() {
  return LABELS.map((each) => [each, t(`index.labels.${each}`)]);
}

function Folder({ start }) {
  const [place, setPlace] = useState({ root: null, path: "" });
  const send = (event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    start({ folder: place, labels: data.get("labels"), frames: data.get("frames") || null });
  };
  const frames = [["", t("folder.frames.none")], ...FRAMES.map((each) => [each, t(`folder.frames.${each.replace(":", ".")}`)])];
  return html`<${FolderPicker} place=${place} go=${setPlace}>
    ${({ images, films }) => html`<form class="asker-row" onsubmit=${send}>
        <${Select} label=${t("index.labels")} name="labels" options=${labelOptions()} chosen="auto" />
        <${Select} label=${t("folder.frames")} name="frames" options=${frames} chosen="" />
        <button class="primary">${t("folder.start")}</button>
      </form>
      <p class="soft">${t("folder.count", { images: t("folder.images", { count: images }), films: t("folder.films", { count: films }) })}</p>`}
  <//>`;
}

function Again({ start }) {
  const send = (event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    start({ labels: data.get("labels"), prune: data.has("prune"), yes: data.has("yes") });
  };
  return html`<form class="asker-row" onsubmit=${send}>
    <${Select} label=${t("index.labels")} name="labels" options=${labelOptions()} chosen="auto" />
    <${Check} label=${t("index.prune")} name="prune" />
    <${Check} label=${t("index.yes")} name="yes" />
    <button class="primary">${t("index.start")}</button>
  </form>`;
}

const COUNTS = ["added", "updated", "relabelled", "unchanged", "moved", "removed"];

function Report({ job }) {
  const answer = useAnswer(job.id, (signal) => ask("GET", jobPath(job.id, "indexing"), { signal }));
  return html`<${Answer} of=${answer}>
    ${(found) => {
      const { skipped, left_out: left, other_files: others } = found;
      const counts = COUNTS.filter((each) => found[each] > 0 || each === "added");
      return html`<div class="tiles">
          ${counts.map((each) => html`<${Tile} value=${number(found[each])} name=${t(`index.${each}`)} />`)}
          <${Tile} value=${number(skipped.length)} name=${t("index.skipped")} />
        </div>
        <p class="soft">
          ${t("index.took", { time: seconds(found.seconds) })}
          ${others > 0 && ` ${t("index.otherfiles", { count: others })}`}
        </p>
        <${Names} what="whyskipped" entries=${skipped.map((each) => [each.name, each.skipped])} />
        <${Names}
          what="left_out"
          count=${left.reduce((sum, each) => sum + each.count, 0)}
          entries=${left.map((each) => [each.example, `${number(each.count)} ${each.reason}`])}
        />
        ${["remarks", "unlabelled", "told_apart", "overruled"].map(
          (each) => html`<${Names} what=${each} entries=${found[each].map((name) => [name])} />`,
        )}`;
    }}
  <//>`;
}

/** Names, each with a reason where there is one, behind a line that says what they are. */
function Names({ what, entries, count = entries.length }) {
  if (!entries.length) return null;
  const rest = entries.length - LISTED;
  return html`<details>
    <summary>${t(`index.${what}`, { count })}</summary>
    <ul class="plain">
      ${entries.slice(0, LISTED).map(
        ([name, reason]) => html`<li>
          <bdi>${short(name, 200)}</bdi>${reason && html`: <${Said} text=${reason} tag="span" />`}
        </li>`,
      )}
      ${rest > 0 && html`<li class="soft">${t("index.andmore", { count: rest })}</li>`}
    </ul>
  </details>`;
}
