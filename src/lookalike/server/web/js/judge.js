// The view that judges: evaluation, map, audit. Each is a job that is asked for, watched and shown.

import { app, chooseLabelField, labelField } from "./app.js";
import { audit } from "./audit.js";
import { el, fill, fresh, labelled } from "./dom.js";
import { drift } from "./drift.js";
import { evaluation } from "./evaluation.js";
import { earlierJobs, followJob, jobsOf, startJob } from "./jobs.js";
import { t } from "./language.js";
import { map } from "./map.js";
import { remark, report } from "./notices.js";
import { change, link } from "./route.js";
import { suggest } from "./suggest.js";
import { short } from "./values.js";

/** The tabs: each with its `kind` of job, the name under which it is started (`what`), `fields` for its form,
 * and `show`, which fills a place and returns what to call with the parameters when they change; `unlabelled`
 * where no field of labels need be named, `anyField` where a new one may be, `fieldless` where no image need have
 * a field. */
const TABS = { evaluation, map, audit, suggest, drift };

/** Show the view in a place; it stays until the signal ends it. */
export function showJudge(place, signal) {
  // Without a field, what needs no label is there all the same.
  const fieldless = !app.collection.fields.length;
  const tabs = Object.entries(TABS).filter(([, tab]) => !fieldless || tab.fieldless);
  const nav = el("nav", { class: "tabs", "aria-label": t("judge.tabs") });
  const panel = el("div", { class: "panel" });
  const told = fieldless && remark(t("classify.nofields"));
  fill(place, el("h1", { class: "heard" }, t("nav.judge")), told, nav, panel);
  let open = null;
  let update = null;
  let under = null;
  signal.addEventListener("abort", () => under?.abort());
  return (params, tab) => {
    const [name, chosen] = tabs.find(([each]) => each === tab) ?? tabs[0];
    if (name !== open) {
      open = name;
      under?.abort();
      under = new AbortController();
      fill(
        nav,
        tabs.map(([each]) => tabLink(each, name)),
      );
      update = showTab(panel, chosen, under.signal);
    }
    update(params);
  };
}

function tabLink(name, open) {
  const href = link({ collection: app.collection.name, view: "judge", tab: name });
  return el("a", { href, "aria-current": name === open ? "page" : null }, t(`judge.${name}`));
}

function fieldSelect({ unlabelled }) {
  const { fields } = app.collection;
  const by = el(
    "select",
    { onchange: () => by.value && chooseLabelField(by.value) },
    fields.map((each) => el("option", { value: each, selected: each === labelField() }, short(each, 80))),
    unlabelled && el("option", { value: "" }, t("judge.nofield")),
  );
  return by;
}

/** A field that is there, or a new one. */
function fieldInput() {
  const list = el(
    "datalist",
    { id: fresh("fields") },
    app.collection.fields.map((each) => el("option", { value: each })),
  );
  const input = { type: "text", value: labelField() ?? "label", list: list.id, required: true, dir: "auto" };
  return [el("input", input), list];
}

function showTab(panel, tab, signal) {
  const [by, list] = tab.anyField ? fieldInput() : [fieldSelect(tab)];
  const fields = tab.fields();
  const told = el("div", {});
  const earlier = el("div", {});
  const result = el("div", { class: "result" });
  const start = async (event) => {
    event.preventDefault();
    told.replaceChildren();
    try {
      const job = await startJob(tab.what, { by: by.value || null, ...fields.asked() }, signal, fields.files?.());
      change({ job: job.id, cell: null, list: null, image: null });
    } catch (error) {
      report(told, error);
    }
  };
  fill(
    panel,
    el(
      "form",
      { class: "asker", onsubmit: start },
      el("p", { class: "soft" }, t(`judge.${tab.kind}.what`)),
      el(
        "div",
        { class: "asker-row" },
        labelled(t("classify.by"), by),
        list,
        fields.row,
        el("button", { class: "primary" }, t(`judge.${tab.kind}.start`)),
        earlier,
      ),
      fields.more &&
        el(
          "details",
          { class: "options" },
          el("summary", {}, t("options")),
          el("div", { class: "option-list" }, fields.more),
        ),
      told,
    ),
    result,
  );
  return follower({ tab, result, earlier, signal });
}

/** Return what shows the job that the address names, or the latest. */
function follower({ tab, result, earlier, signal }) {
  let current;
  let update = null;
  let latest = null;
  const choose = (id) => change({ job: id, cell: null, list: null, image: null });
  const follow = async (id) => {
    const jobs = await jobsOf(tab.kind, signal);
    const shown = id ?? jobs[0]?.id;
    fill(earlier, earlierJobs(jobs, shown, choose));
    if (!shown) {
      fill(result, el("div", { class: "welcome" }, el("p", { class: "lead" }, t(`judge.${tab.kind}.none`))));
      return;
    }
    await followJob(result, shown, signal, async (job) => {
      const shows = await tab.show(result, job, signal);
      // Another one may have been asked for meanwhile.
      if (current !== id) return;
      update = shows;
      update(latest);
    });
  };
  return (params) => {
    latest = params;
    const id = params.get("job");
    if (id === current) {
      update?.(params);
      return;
    }
    current = id;
    update = null;
    follow(id).catch((error) => report(result, error));
  };
}
