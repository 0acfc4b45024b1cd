// Work that takes a while: it is started, watched, and can be cancelled.

import { ask, at, givenUp } from "./api.js";
import { app } from "./app.js";
import { Select } from "./controls.js";
import { moment, number, t } from "./language.js";
import { announce, ProblemBox, Waiting } from "./notices.js";
import { html, useLayoutEffect, useState } from "./view.js";

/** Milliseconds between two looks at a job: at first, and at most. */
const FIRST = 200;
const LONGEST = 2000;

const OVER = new Set(["done", "failed", "cancelled"]);

/** Return the path of a job. */
export function jobPath(id, ...parts) {
  return ["/v1/jobs", ...[id, ...parts].map(encodeURIComponent)].join("/");
}

/** Start a job on the open collection: `what` is evaluations, audits, maps or indexings; files go with it. */
export function startJob(what, asked, files = []) {
  const path = at(app.collection.name, what);
  if (!files.length) return ask("POST", path, { json: asked });
  const form = new FormData();
  form.append("query", JSON.stringify(asked));
  for (const file of files) form.append("image", file, file.name);
  return ask("POST", path, { form });
}

/** Return the jobs of a kind on the open collection, the latest first. */
export async function jobsOf(kind, signal) {
  const { jobs } = await ask("GET", "/v1/jobs", { signal });
  const name = app.collection.name;
  return jobs
    .filter((each) => each.kind === kind && each.collection === name)
    .sort((a, b) => (a.created < b.created ? 1 : -1));
}

/** Wait for so many milliseconds; a signal ends it with its reason. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Look at a job until it is over, and tell what is seen; `seen` says whether it was at work meanwhile. */
async function watch(id, signal, tell) {
  for (let wait = FIRST, seen = false; ; wait = Math.min(wait * 1.3, LONGEST)) {
    const job = await ask("GET", jobPath(id), { signal });
    const over = OVER.has(job.state);
    if (over === seen) announce(t(over ? `job.${job.state}` : "job.started"));
    tell({ ...job, seen });
    if (over) return;
    seen = true;
    await pause(wait, signal);
  }
}

/**
 * A job: how far it is, and what came of it.
 * @param id of the job
 * @param fresh whether it was started just now
 * @param ended called when it is over that was at work before, or was started just now
 * @param children called with the job when it is done
 */
export function JobResult({ id, fresh = false, ended = () => {}, children }) {
  const [{ job, error }, setState] = useState({ job: null, error: null });
  const [tries, setTries] = useState(0);
  useLayoutEffect(() => {
    const under = new AbortController();
    const tell = (found) => {
      setState({ job: found, error: null });
      if ((found.seen || fresh) && OVER.has(found.state)) ended(found);
    };
    watch(id, under.signal, tell).catch((problem) => {
      if (givenUp(problem)) return;
      setState({ job: null, error: problem });
      if (problem.status === undefined) throw problem;
    });
    return () => under.abort();
  }, [id, tries]);
  if (error) return html`<${ProblemBox} error=${error} again=${() => setTries(tries + 1)} />`;
  if (!job) return html`<${Waiting} />`;
  if (job.state === "done") return children(job);
  if (job.state === "cancelled") return html`<p class="notice">${t("job.cancelled")}</p>`;
  if (job.state !== "failed") return html`<${Progress} job=${job} />`;
  const { status = 500, detail = "" } = job.problem ?? {};
  return html`<${ProblemBox} error=${{ status, message: detail }} />`;
}

/** How far a job is, with a button that cancels it. */
function Progress({ job }) {
  const [{ asked, error }, setState] = useState({ asked: false, error: null });
  const cancel = async () => {
    setState({ asked: true, error: null });
    try {
      await ask("DELETE", jobPath(job.id));
    } catch (problem) {
      setState({ asked: false, error: problem });
      if (problem.status === undefined) throw problem;
    }
  };
  const bar = job.total > 0 ? { max: job.total, value: job.done } : {};
  return html`<div class="job">
    <div class="together">
      <progress aria-label=${t("job.progress")} ...${bar}></progress>
      <button type="button" disabled=${asked} onclick=${cancel}>${t("job.cancel")}</button>
    </div>
    <span class="job-text">
      ${job.total > 0 ? t("job.done.of", { done: Math.min(job.done, job.total), total: job.total }) : t(`job.${job.state}`)}
    </span>
    ${error && html`<${ProblemBox} error=${error} />`}
  </div>`;
}

/** Earlier jobs to choose from; nothing where there is only one. */
export function EarlierJobs({ jobs, current, choose }) {
  if (jobs.length < 2) return null;
  return html`<${Select}
    label=${t("job.earlier")}
    options=${jobs.map((each) => [each.id, describe(each)])}
    chosen=${current}
    onchange=${(event) => choose(event.currentTarget.value)}
  />`;
}

function describe(job) {
  const asked = [
    job.asked.by,
    job.asked.k && `k = ${typeof job.asked.k === "number" ? number(job.asked.k) : job.asked.k}`,
  ];
  return [moment(job.created), ...asked, job.state !== "done" && t(`job.${job.state}`)].filter(Boolean).join(" · ");
}
