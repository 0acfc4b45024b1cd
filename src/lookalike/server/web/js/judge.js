// The view that judges: evaluation, map, audit and more. Each is a job that is asked for, watched and shown.

import { app, chooseLabelField, labelField } from "./app.js";
import { audit } from "./audit.js";
import { fieldOptions, Input, Select } from "./controls.js";
import { drift } from "./drift.js";
import { evaluation } from "./evaluation.js";
import { EarlierJobs, JobResult, jobsOf, startJob } from "./jobs.js";
import { t } from "./language.js";
import { map } from "./map.js";
import { ProblemBox, Remark } from "./notices.js";
import { change, link } from "./route.js";
import { suggest } from "./suggest.js";
import { html, useAnswer, useState } from "./view.js";

/** The tabs: each with its `kind` of job; the name under which it is started (`what`); `Row` and `More`, components
 * for its form; `asked`, which makes a question of the form and of files; and `Show`, a component that takes the
 * job and the parameters. `unlabelled` where no field of labels need be named, `anyField` where a new one may be,
 * `fieldless` where no image need have a field. */
const TABS = { evaluation, map, audit, suggest, drift };

/** The view; `tab` and `params` are those of the address. */
export function Judge({ params, tab }) {
  // Without a field, what needs no label is there all the same.
  const fieldless = !app.collection.fields.length;
  const tabs = Object.entries(TABS).filter(([, each]) => !fieldless || each.fieldless);
  const [name, chosen] = tabs.find(([each]) => each === tab) ?? tabs[0];
  return html`<h1 class="heard">${t("nav.judge")}</h1>
    ${fieldless && html`<${Remark}>${t("classify.nofields")}<//>`}
    <nav class="tabs" aria-label=${t("judge.tabs")}>
      ${tabs.map(([each]) => {
        const href = link({ collection: app.collection.name, view: "judge", tab: each });
        return html`<a href=${href} aria-current=${each === name ? "page" : null}>${t(`judge.${each}`)}</a>`;
      })}
    </nav>
    <div class="panel"><${Tab} key=${name} tab=${chosen} params=${params} /></div>`;
}

function Tab({ tab, params }) {
  const id = params.get("job");
  const [files, setFiles] = useState([]);
  const [error, setError] = useState(null);
  const known = useAnswer(`${id}`, (signal) => jobsOf(tab.kind, signal));
  const choose = (job) => change({ job, cell: null, list: null, image: null });
  const start = async (event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    setError(null);
    try {
      const asked = { by: data.get("by") || null, ...tab.asked(data, files) };
      choose((await startJob(tab.what, asked, files)).id);
    } catch (problem) {
      setError(problem);
      if (problem.status === undefined) throw problem;
    }
  };
  const shown = id ?? known.answer?.[0]?.id;
  return html`<form class="asker" onsubmit=${start}>
      <p class="soft">${t(`judge.${tab.kind}.what`)}</p>
      <div class="asker-row">
        ${tab.anyField ? html`<${AnyField} />` : html`<${Field} unlabelled=${tab.unlabelled} />`}
        ${tab.Row && html`<${tab.Row} files=${files} choose=${setFiles} />`}
        <button class="primary">${t(`judge.${tab.kind}.start`)}</button>
        <${EarlierJobs} jobs=${known.answer ?? []} current=${shown} choose=${choose} />
      </div>
      ${tab.More &&
      html`<details class="options">
        <summary>${t("options")}</summary>
        <div class="option-list"><${tab.More} /></div>
      </details>`}
      ${error && html`<${ProblemBox} error=${error} />`}
    </form>
    <div class="result">
      ${known.error && html`<${ProblemBox} error=${known.error} again=${known.again} />`}
      ${shown
        ? html`<${JobResult} key=${shown} id=${shown}>
            ${(job) => html`<${tab.Show} job=${job} params=${params} />`}
          <//>`
        : known.answer && html`<div class="welcome"><p class="lead">${t(`judge.${tab.kind}.none`)}</p></div>`}
    </div>`;
}

function Field({ unlabelled }) {
  const options = [...fieldOptions(), ...(unlabelled ? [["", t("judge.nofield")]] : [])];
  const chosen = ({ currentTarget: { value } }) => value && chooseLabelField(value);
  return html`<${Select} label=${t("classify.by")} name="by" options=${options} chosen=${labelField()} onchange=${chosen} />`;
}

/** A field that is there, or a new one. */
function AnyField() {
  return html`<${Input}
    label=${t("classify.by")}
    name="by"
    chosen=${labelField() ?? "label"}
    values=${app.collection.fields}
    required
  />`;
}
