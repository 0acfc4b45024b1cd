// The view that classifies.

import { ask, givenUp } from "./api.js";
import { app, chooseLabelField, here, labelField } from "./app.js";
import { Check, fieldOptions, PercentInput, Select } from "./controls.js";
import { DropZone, PickButton } from "./drop.js";
import { heldFile, hold, isFile } from "./files.js";
import { Icon } from "./icons.js";
import { decimal, t } from "./language.js";
import { announce, ProblemBox, Remark, Said, Waiting } from "./notices.js";
import { Prediction } from "./prediction.js";
import { change } from "./route.js";
import { html, useLayoutEffect, useState } from "./view.js";

const KS = ["1", "3", "5", "10", "20", "auto"];

/** Pictures of one request: answers appear as they come. */
const TOGETHER = 8;

/** The view; `params` are those of the address. */
export function Classify({ params }) {
  if (!app.collection.fields.length)
    return html`<h1>${t("nav.classify")}</h1>
      <${Remark}>${t("classify.nofields")}<//>`;
  const take = (files) => change({ p: files.map(hold), image: null });
  const question = questionOf(params);
  const key = JSON.stringify(question);
  return html`<h1 class="heard">${t("nav.classify")}</h1>
    <${Asker} params=${params} question=${question} take=${take} />
    ${question.references.length
      ? html`<${Answers} key=${key} question=${question} />`
      : html`<section class="predictions" aria-label=${t("classify.results")}><${Welcome} take=${take} /></section>`}
    <${DropZone} take=${take} />`;
}

function questionOf(params) {
  const by = params.get("by");
  const k = params.get("k");
  const part = (name) => {
    const value = Number(params.get(name));
    return value > 0 && value < 100 ? value / 100 : undefined;
  };
  return {
    by: app.collection.fields.includes(by) ? by : labelField(),
    k: KS.includes(k) ? (k === "auto" ? k : Number(k)) : 5,
    references: params.getAll("p").map((each) => each.replace(/^[+-]/, "")),
    max_error: part("error"),
    coverage: part("coverage"),
    approximate: params.has("near") || undefined,
  };
}

function Welcome({ take }) {
  return html`<div class="welcome zone">
    <${Icon} name="tag" />
    <p class="lead">${t("classify.welcome")}</p>
    <p class="soft">${t("classify.how")}</p>
    <${PickButton} label=${t("classify.pick")} take=${take} kind="primary" />
  </div>`;
}

function Asker({ params, question, take }) {
  const index = app.collection.approximation;
  const chosen = ({ currentTarget: { value } }) => {
    chooseLabelField(value);
    change({ by: value });
  };
  const ks = KS.map((each) => [each, each === "auto" ? t("classify.auto") : each]);
  const part = (name, label) =>
    html`<${PercentInput}
      label=${t(label)}
      value=${params.get(name) ?? ""}
      onchange=${(event) => change({ [name]: event.currentTarget.value })}
    />`;
  return html`<section class="asker" aria-label=${t("classify.question")}>
    <div class="asker-row">
      ${question.references.length > 0 &&
      html`<${PickButton} label=${t("classify.pick")} take=${take} kind="primary" />`}
      <${Select} label=${t("classify.by")} options=${fieldOptions()} chosen=${question.by} onchange=${chosen} />
      <${Select}
        label=${t("classify.k")}
        options=${ks}
        chosen=${question.k}
        onchange=${(event) => change({ k: event.currentTarget.value })}
      />
    </div>
    <details class="options">
      <summary>${t("options")}</summary>
      <div class="option-list">
        ${part("error", "classify.maxerror")} ${part("coverage", "classify.coverage")}
        ${index &&
        html`<${Check}
          label=${t("search.approximate", { recall: decimal(index.recall, 3) })}
          checked=${Boolean(question.approximate)}
          onchange=${(event) => change({ near: event.currentTarget.checked ? "1" : null })}
        />`}
      </div>
    </details>
  </section>`;
}

/** The answers as they come, some pictures at a time. */
function Answers({ question }) {
  const known = question.references.filter((each) => !isFile(each) || heldFile(each));
  const [{ found, remarks, error, busy }, setState] = useState({ found: [], remarks: [], error: null, busy: true });
  const [tries, setTries] = useState(0);
  useLayoutEffect(() => {
    const under = new AbortController();
    const tell = (changes) => under.signal.aborted || setState((now) => ({ ...now, ...changes(now) }));
    tell(() => ({ busy: true, error: null }));
    const each = (answer, some) =>
      tell((now) => ({ found: [...now.found, ...some], remarks: now.remarks.length ? now.remarks : linesOf(answer) }));
    classify(question, known.slice(found.length), under.signal, each).then(
      () => {
        tell(() => ({ busy: false }));
        if (!under.signal.aborted) announce(t("classify.done", { count: known.length }));
      },
      (problem) => {
        if (givenUp(problem)) return;
        tell(() => ({ busy: false, error: problem }));
        if (problem.status === undefined) throw problem;
      },
    );
    return () => under.abort();
  }, [tries]);
  return html`<section class="predictions" aria-label=${t("classify.results")} aria-busy=${busy ? "true" : null}>
    ${known.length < question.references.length &&
    html`<${Remark} kind="warn">${t("search.forgotten")}<//>`}
    ${remarks.length > 0 && html`<ul class="remarks">${remarks}</ul>`}
    ${found.map(
      ({ reference, prediction, image }) =>
        html`<${Prediction}
          key=${reference}
          found=${prediction}
          reference=${reference}
          by=${question.by}
          image=${image}
          explain=${(signal) => explain(question, reference, signal)}
        />`,
    )}
    ${busy && html`<${Waiting} text=${t("classify.waiting", { count: known.length })} />`}
    ${error && html`<${ProblemBox} error=${error} again=${() => setTries(tries + 1)} />`}
  </section>`;
}

async function classify(question, references, signal, tell) {
  const most = Math.min(TOGETHER, app.service.limits.images);
  for (let rest = references; rest.length; rest = rest.slice(most)) {
    const some = rest.slice(0, most);
    const answer = await ask("POST", here("classify"), { ...bodyOf(question, some), signal });
    // The answer has the files first.
    const ordered = [...some.filter(isFile), ...some.filter((each) => !isFile(each))];
    const images = await Promise.all(
      ordered.map((each) => (isFile(each) ? null : ask("GET", here("images", each), { signal }))),
    );
    tell(
      answer,
      ordered.map((reference, n) => ({ reference, prediction: answer.predictions[n], image: images[n] })),
    );
  }
}

/** Ask why a picture was classified so. */
async function explain(question, reference, signal) {
  const asked = bodyOf({ ...question, explain: true }, [reference]);
  const { predictions } = await ask("POST", here("classify"), { ...asked, signal });
  return predictions[0].explanation ?? predictions[0];
}

function linesOf({ remarks, approximation }) {
  const lines = remarks.map((each) => html`<${Said} text=${each} tag="li" />`);
  if (approximation)
    lines.push(
      html`<li>${t("search.approximated", { ...approximation, recall: decimal(approximation.recall, 3) })}</li>`,
    );
  return lines;
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
