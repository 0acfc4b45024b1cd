// The pictures of one cell of the confusion matrix, each with the neighbours that voted.

import { ask } from "./api.js";
import { whyNoChanges } from "./app.js";
import { Corrector } from "./correcting.js";
import { DownloadLink } from "./download.js";
import { Cards, Finding, Subject } from "./finding.js";
import { Icon } from "./icons.js";
import { jobPath } from "./jobs.js";
import { percent, t } from "./language.js";
import { announce } from "./notices.js";
import { Rest, usePages } from "./paging.js";
import { change } from "./route.js";
import { keyOf, short, textOf, Value } from "./values.js";
import { html, useEffect, useRef } from "./view.js";

const PAGE = 12;

/** The cell that the address names, if it names one: `job` is the evaluation, `evaluation` what it says. */
export function Cell({ job, evaluation, params }) {
  const cell = params.get("cell");
  const asked = cell ? askedOf(cell, evaluation.classes) : null;
  return asked && html`<${Pictures} key=${cell} job=${job} asked=${asked} by=${evaluation.summary.by} />`;
}

function askedOf(cell, classes) {
  if (cell === "wrong") return { title: t("cell.wrong"), query: { wrong: "true" } };
  const [row, column] = cell.split(".").map(Number);
  if (!classes[row] || !classes[column]) return null;
  const [label, predicted] = [row, column].map((each) => short(textOf(classes[each].label), 60));
  const title = row === column ? t("cell.right", { label }) : t("cell.confused", { label, predicted });
  return { title, query: { label: row, predicted: column } };
}

function Pictures({ job, asked: { title, query }, by }) {
  const place = useRef(null);
  const path = (more) => `${jobPath(job.id, "evaluation", "images")}?${new URLSearchParams({ ...query, ...more })}`;
  const list = usePages(job.id, (pages, signal) =>
    ask("GET", path({ offset: pages * PAGE, limit: PAGE }), { signal }),
  );
  const total = list.pages[0]?.total;
  useEffect(() => place.current.focus({ preventScroll: true }), []);
  useEffect(() => {
    if (total === undefined) return;
    // Once it is as long as the window, its head can be at the top.
    place.current.scrollIntoView({ block: "start" });
    announce(t("cell.count", { count: total }));
  }, [total]);
  return html`<section class="cell" tabindex="-1" ref=${place}>
    <div class="head">
      <h2>${title}</h2>
      <div class="together">
        <${DownloadLink} href=${path({ format: "csv" })} />
        <button type="button" class="quiet" aria-label=${t("close")} onclick=${() => change({ cell: null })}>
          <${Icon} name="close" />
        </button>
      </div>
    </div>
    <div class="findings">
      ${list.pages.flatMap(({ images }) =>
        images.map((each) => html`<${Judged} key=${each.id} image=${each} by=${by} />`),
      )}
    </div>
    <${Rest} of=${list} left=${total - list.pages.length * PAGE} />
  </section>`;
}

/** One image beside the neighbours that voted on it. */
function Judged({ image, by }) {
  const wrong = keyOf(image.label) !== keyOf(image.predicted);
  const claim = html`${t("finding.is")} <b><${Value} value=${image.label} longest=${60} /></b> · ${t("finding.voted")}${" "}
    <b class=${wrong ? "bad" : "good"}><${Value} value=${image.predicted} longest=${60} /></b>${" "}
    <span class="tag">${t("finding.share", { share: percent(image.share, 0) })}</span>`;
  return html`<${Finding} claim=${claim} subject=${html`<${Subject} image=${image} fields=${[]} />`}>
    <${Cards} label=${t("classify.evidence")} images=${image.neighbours} fields=${[by]} />
    ${wrong &&
    !whyNoChanges() &&
    html`<${Corrector} id=${image.id} field=${by} value=${image.label} label=${t("correct.wrong")} />`}
  <//>`;
}
