// Work that takes a while: it is started, watched, and can be cancelled.

import { ask, at } from "./api.js";
import { app } from "./app.js";
import { el, fill, labelled } from "./dom.js";
import { moment, number, t } from "./language.js";
import { announce, problemBox, report } from "./notices.js";

/** Milliseconds between two looks at a job: at first, and at most. */
const FIRST = 200;
const LONGEST = 2000;

const OVER = new Set(["done", "failed", "cancelled"]);

/** Return the path of a job. */
export function jobPath(id, ...parts) {
  return ["/v1/jobs", ...[id, ...parts].map(encodeURIComponent)].join("/");
}

/** Start a job on the open collection: `what` is evaluations, audits, maps or indexings; files go with it. */
export function startJob(what, asked, signal, files = []) {
  const path = at(app.collection.name, what);
  if (!files.length) return ask("POST", path, { json: asked, signal });
  const form = new FormData();
  form.append("query", JSON.stringify(asked));
  for (const file of files) form.append("image", file, file.name);
  return ask("POST", path, { form, signal });
}

/** Return the jobs of a kind on the open collection, the latest first. */
export async function jobsOf(kind, signal) {
  const { jobs } = await ask("GET", "/v1/jobs", { signal });
  const name = app.collection.name;
  return jobs
    .filter((each) => each.kind === kind && each.collection === name)
    .sort((a, b) => (a.created < b.created ? 1 : -1));
}

/**
 * Show how far a job is until it is over.
 * @param place where; a button there cancels the job
 * @param id of the job
 * @param signal ends the watching, not the job
 * @returns the job as it ended
 */
export async function watchJob(place, id, signal) {
  const bar = el("progress", { "aria-label": t("job.progress") });
  const text = el("span", { class: "job-text" });
  const told = el("div", {});
  const cancel = el(
    "button",
    { type: "button", onclick: () => cancelJob(id, cancel, told) },
    t("job.cancel"),
  );
  fill(place, el("div", { class: "job" }, el("div", { class: "together" }, bar, cancel), text, told));
  announce(t("job.started"));
  let wait = FIRST;
  for (;;) {
    const job = await ask("GET", jobPath(id), { signal });
    if (OVER.has(job.state)) {
      announce(t(`job.${job.state}`));
      return job;
    }
    if (job.total > 0) {
      bar.max = job.total;
      bar.value = job.done;
      text.textContent = t("job.done.of", { done: job.done, total: job.total });
    } else {
      text.textContent = t(`job.${job.state}`);
    }
    await pause(wait, signal);
    wait = Math.min(wait * 1.3, LONGEST);
  }
}

async function cancelJob(id, button, told) {
  button.disabled = true;
  try {
    await ask("DELETE", jobPath(id));
  } catch (error) {
    report(told, error);
    button.disabled = false;
  }
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

/**
 * Watch a job and then show what came of it.
 * @param place where
 * @param id of the job
 * @param signal ends it
 * @param show called with the job when it is done; it fills the place
 */
export async function followJob(place, id, signal, show) {
  try {
    const job = await watchJob(place, id, signal);
    if (job.state === "done") await show(job);
    else if (job.state === "failed")
      fill(place, problemBox({ status: job.problem?.status ?? 500, message: job.problem?.detail ?? "" }));
    else fill(place, el("p", { class: "notice" }, t("job.cancelled")));
  } catch (error) {
    report(place, error, () => followJob(place, id, signal, show));
  }
}

/** Return a list of earlier jobs to choose from; nothing where there is only one. */
export function earlierJobs(jobs, current, choose) {
  if (jobs.length < 2) return null;
  const list = el(
    "select",
    { onchange: () => choose(list.value) },
    jobs.map((each) => el("option", { value: each.id, selected: each.id === current }, describe(each))),
  );
  return labelled(t("job.earlier"), list);
}

function describe(job) {
  const asked = [
    job.asked.by,
    job.asked.k && `k = ${typeof job.asked.k === "number" ? number(job.asked.k) : job.asked.k}`,
  ];
  return [moment(job.created), ...asked.filter(Boolean), job.state === "done" ? "" : t(`job.${job.state}`)]
    .filter(Boolean)
    .join(" · ");
}
