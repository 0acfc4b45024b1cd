// The view of what is indexed: bring it up to date, and add pictures.

import { ask } from "./api.js";
import { addingSection } from "./adding.js";
import { app, loadCollections, mayWrite } from "./app.js";
import { el, fill, labelled } from "./dom.js";
import { followJob, jobPath, jobsOf, startJob } from "./jobs.js";
import { bytes, decimal, number, seconds, t } from "./language.js";
import { report, said } from "./notices.js";
import { short } from "./values.js";

const LABELS = ["auto", "folders", "json", "table", "xml", "yolo", "none"];
/** Names of a list that are shown. */
const LISTED = 100;

/** Show the view in a place; it stays until the signal ends it. */
export function showIndex(place, signal) {
  const facts = el("section", { class: "box" });
  const describe = () =>
    fill(facts, el("h2", {}, el("bdi", {}, short(app.collection.name, 100))), known(app.collection));
  describe();
  const changed = async () => {
    await loadCollections();
    describe();
  };
  fill(
    place,
    el("h1", { class: "heard" }, t("nav.index")),
    facts,
    mayWrite() ? againSection(signal, changed) : el("p", { class: "notice" }, t("write.readonly")),
    addingSection(signal, changed),
  );
  return () => {};
}

function known(collection) {
  const { count, fields, fitted_by: fitted, texts, vectors } = collection;
  const row = (key, value) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value));
  return el(
    "dl",
    { class: "facts" },
    row("index.images", number(count)),
    row(
      "index.fields",
      fields.length
        ? fields.map((each) => el("span", { class: "tag" }, el("bdi", {}, short(each, 60))))
        : t("value.none"),
    ),
    row("index.texts", t(texts ? "yes" : "no")),
    row("index.fitted", fitted ? el("bdi", {}, short(fitted, 60)) : t("no")),
    row("index.vectors", el("ul", { class: "plain vectors" }, vectors.map(vectorItem))),
  );
}

/** Return what is known of a named vector of a collection. */
function vectorItem({ name, model, dimension, ready, default: chosen, lacking, bytes: size, approximation }) {
  const facts = [
    chosen && t("index.default"),
    !ready && t("index.lacking", { count: lacking }),
    bytes(size),
    approximation && `${approximation.kind}, recall@${approximation.k} ${decimal(approximation.recall, 3)}`,
  ];
  return el(
    "li",
    {},
    el("b", {}, name),
    " ",
    el("bdi", {}, `${model} (${number(dimension)})`),
    el("span", { class: "soft" }, ` ${facts.filter(Boolean).join(" · ")}`),
  );
}

function againSection(signal, changed) {
  const labels = el(
    "select",
    {},
    LABELS.map((each) => el("option", { value: each }, t(`index.labels.${each}`))),
  );
  const prune = el("input", { type: "checkbox" });
  const yes = el("input", { type: "checkbox" });
  const told = el("div", {});
  const result = el("div", { class: "result" });
  const follow = (id, news) =>
    followJob(result, id, signal, async (job) => {
      const answer = await ask("GET", jobPath(job.id, "indexing"), { signal });
      fill(result, reportList(answer));
      if (news) await changed();
    });
  const start = async (event) => {
    event.preventDefault();
    told.replaceChildren();
    try {
      const job = await startJob(
        "indexings",
        { labels: labels.value, prune: prune.checked, yes: yes.checked },
        signal,
      );
      await follow(job.id, true);
    } catch (error) {
      report(told, error);
    }
  };
  jobsOf("index", signal)
    .then(([latest]) => latest && follow(latest.id, latest.state === "running" || latest.state === "waiting"))
    .catch((error) => report(told, error));
  return el(
    "section",
    { class: "box" },
    el("h2", {}, t("index.again")),
    el("p", { class: "soft" }, t("index.againwhat")),
    el(
      "form",
      { class: "asker-row", onsubmit: start },
      labelled(t("index.labels"), labels),
      el("label", { class: "choice" }, prune, t("index.prune")),
      el("label", { class: "choice" }, yes, t("index.yes")),
      el("button", { class: "primary" }, t("index.start")),
    ),
    told,
    result,
  );
}

const COUNTS = ["added", "updated", "relabelled", "unchanged", "moved", "removed"];

function reportList(answer) {
  const tiles = COUNTS.filter((each) => answer[each] > 0 || each === "added").map((each) =>
    el("div", { class: "tile" }, el("b", {}, number(answer[each])), el("span", {}, t(`index.${each}`))),
  );
  const { skipped } = answer;
  const names = (key) =>
    answer[key].length > 0 &&
    nameList(
      t(`index.${key}`, { count: answer[key].length }),
      answer[key].map((each) => [each]),
    );
  return [
    el(
      "div",
      { class: "tiles" },
      tiles,
      el("div", { class: "tile" }, el("b", {}, number(skipped.length)), el("span", {}, t("index.skipped"))),
    ),
    el(
      "p",
      { class: "soft" },
      t("index.took", { time: seconds(answer.seconds) }),
      answer.other_files > 0 && ` ${t("index.otherfiles", { count: answer.other_files })}`,
    ),
    skipped.length > 0 &&
      nameList(
        t("index.whyskipped", { count: skipped.length }),
        skipped.map((each) => [each.name, each.skipped]),
      ),
    answer.left_out.length > 0 &&
      nameList(
        t("index.left_out", { count: answer.left_out.reduce((sum, each) => sum + each.count, 0) }),
        answer.left_out.map((each) => [each.example, `${number(each.count)} ${each.reason}`]),
      ),
    names("remarks"),
    names("unlabelled"),
    names("told_apart"),
    names("overruled"),
  ];
}

/** Return names, each with a reason where there is one, behind a line that says what they are. */
function nameList(title, entries) {
  const items = entries
    .slice(0, LISTED)
    .map(([name, reason]) =>
      el("li", {}, el("bdi", {}, short(name, 200)), reason && [": ", said(reason, "span")]),
    );
  const rest = entries.length - items.length;
  return el(
    "details",
    {},
    el("summary", {}, title),
    el(
      "ul",
      { class: "plain" },
      items,
      rest > 0 && el("li", { class: "soft" }, t("index.andmore", { count: rest })),
    ),
  );
}
