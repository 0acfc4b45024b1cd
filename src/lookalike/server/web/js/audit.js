// The audit: what is wrong with labels and images.

import { ask } from "./api.js";
import { Check, fieldOptions, Select } from "./controls.js";
import { DownloadLink } from "./download.js";
import { Duplicates, LeftOut, Outlier, PoorPictures, SmallClasses, Suspect } from "./findings.js";
import { jobPath } from "./jobs.js";
import { number, t } from "./language.js";
import { Answer, Said } from "./notices.js";
import { Rest, usePages } from "./paging.js";
import { change } from "./route.js";
import { html, useAnswer, useRef, useState } from "./view.js";

export const audit = {
  kind: "audit",
  what: "audits",
  unlabelled: true,
  fieldless: true,
  Row,
  More,
  asked,
  Show,
};

const PAGE = 20;
/** Entries that the server gives at once. */
const MOST = 200;

/** The lists of an audit: how many the summary counts, null where none were looked for, and the component of one
 * entry (One) or of some (Some). */
const LISTS = {
  suspects: { count: (summary) => (summary.by === null ? null : summary.contradicted), One: Suspect },
  duplicates: { count: (summary) => summary.duplicates, One: Duplicates },
  outliers: { count: (summary) => summary.outliers, One: Outlier },
  small_classes: {
    count: (summary) => (summary.by === null ? null : summary.small_classes),
    Some: SmallClasses,
  },
  pictures: {
    count: ({ pictures }) => pictures && pictures.kinds.reduce((sum, each) => sum + each.count, 0),
    Some: PoorPictures,
  },
  unread: { count: ({ pictures }) => pictures?.unread || null, Some: LeftOut },
  left_out: { count: (summary) => (summary.by === null ? null : summary.left_out), Some: LeftOut },
};

function Row() {
  const ks = ["1", "3", "5", "10", "20"].map((each) => [each, each]);
  return html`<${Select} label=${t("classify.k")} name="k" options=${ks} chosen="5" />`;
}

function More() {
  const splits = [["", t("audit.anysplit")], ...fieldOptions()];
  return html`<${Select} label=${t("audit.split")} name="split" options=${splits} chosen="" />
    <${Check} label=${t("audit.look")} name="look" defaultChecked />`;
}

function asked(data) {
  return { k: Number(data.get("k")), look: data.has("look"), split: data.get("split") || undefined };
}

function pathOf(job, list, more) {
  return `${jobPath(job.id, "audit")}?${new URLSearchParams({ list, ...more })}`;
}

function Show({ job, params }) {
  const first = useAnswer(job.id, (signal) => ask("GET", pathOf(job, "suspects", { limit: 1 }), { signal }));
  return html`<${Answer} of=${first}>
    ${({ summary }) => html`<${Lists} job=${job} summary=${summary} wanted=${params.get("list")} />`}
  <//>`;
}

function Lists({ job, summary, wanted }) {
  const names = Object.keys(LISTS).filter((each) => LISTS[each].count(summary) !== null);
  const name = names.includes(wanted)
    ? wanted
    : (names.find((each) => LISTS[each].count(summary) > 0) ?? names[0]);
  const { contradicted, judged, images } = summary;
  return html`<p>
      ${summary.by === null
        ? t("audit.summary.unlabelled", { count: images })
        : html`${t("audit.summary", { contradicted, judged, images })} ${t("evaluation.method")}${" "}
            <${Said} text=${summary.method} tag="span" />`}
    </p>
    <div class="chips" role="group" aria-label=${t("audit.lists")}>
      ${names.map(
        (each) => html`<button
          type="button"
          class="chip"
          key=${each}
          aria-pressed=${String(each === name)}
          onclick=${() => change({ list: each })}
        >
          ${t(`audit.${each}`)} <span class="count">${number(LISTS[each].count(summary))}</span>
        </button>`,
      )}
    </div>
    <section class="findings box" aria-live="off">
      <div class="head">
        <h2>${t(`audit.${name}`)}</h2>
        <${DownloadLink} href=${pathOf(job, name, { format: "csv" })} />
      </div>
      <p class="soft">${t(`audit.${name}.what`)}</p>
      <${Entries} key=${name} job=${job} name=${name} />
    </section>`;
}

/**
 * What is said of suspects since some were settled, which are evidence of others.
 * @returns {latest, settled}: latest gives an entry as it is now, `gone` where nothing speaks against it any more;
 *   settled is called with the id of an image that was confirmed or corrected
 */
function useLatestSuspects(job) {
  const [now, setNow] = useState(null);
  const acted = useRef(new Set());
  const latest = (found) => {
    // What was settled here says itself what became of it.
    if (!now || !found.image || acted.current.has(found.image.id)) return found;
    return now.found.get(found.image.id) ?? { ...found, gone: now.whole };
  };
  const settled = async (id) => {
    acted.current.add(id);
    try {
      const { total, suspects } = await ask("GET", pathOf(job, "suspects", { limit: MOST }));
      setNow({ found: new Map(suspects.map((each) => [each.image.id, each])), whole: total <= MOST });
    } catch (error) {
      // What is shown stays as it was.
      if (error.status === undefined) throw error;
    }
  };
  return { latest, settled };
}

function Entries({ job, name }) {
  const list = usePages(`${job.id} ${name}`, (pages, signal) =>
    ask("GET", pathOf(job, name, { offset: pages * PAGE, limit: PAGE }), { signal }),
  );
  const { One, Some } = LISTS[name];
  const total = list.pages[0]?.total;
  const { latest, settled } = useLatestSuspects(job);
  const shown = ({ summary, [name]: some }) =>
    One
      ? some.map(
          (each) =>
            html`<${One} key=${each.image?.id} found=${latest(each)} summary=${summary} settled=${settled} />`,
        )
      : html`<${Some} some=${some} summary=${summary} />`;
  return html`<div>
      ${total === 0 ? html`<p class="good">${t("audit.nothing")}</p>` : list.pages.map(shown)}
    </div>
    <${Rest} of=${list} left=${total - list.pages.length * PAGE} />`;
}
