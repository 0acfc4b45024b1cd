// How unlike the normal pictures of the collection one picture is, and where.

import { ask } from "./api.js";
import { here, knowsNormal } from "./app.js";
import { el, fill } from "./dom.js";
import { heldFile, isFile } from "./files.js";
import { decimal, percent, t } from "./language.js";
import { report, said, waiting } from "./notices.js";

/** Places that are told in words. */
const PLACES = 3;

/**
 * Return the section of a verdict, which is not seen where the collection has not learned what is normal.
 * @param reference of the picture: an id, or a file of the visitor
 * @param layers over the picture, to which its map is added
 * @returns {place, judge}: judge asks for the verdict, until a signal ends it
 */
export function anomalySection(reference, layers) {
  const place = el("section", { class: "anomaly", hidden: true });
  const judge = async (signal) => {
    try {
      if (!(await knowsNormal())) return;
      place.hidden = false;
      fill(place, waiting(t("anomaly.waiting")));
      const answer = await ask("POST", here("anomaly"), { ...bodyOf(reference), signal });
      const [found] = answer.scores;
      fill(
        place,
        el("h3", {}, t("anomaly.title")),
        found.skipped ? said(found.skipped) : verdict(found, answer),
      );
      if (found.overlay)
        layers.add({ url: found.overlay, key: "m", name: t("anomaly.map"), shown: found.anomalous });
    } catch (error) {
      report(place, error, () => judge(signal));
      place.hidden = !place.firstChild;
    }
  };
  return { place, judge };
}

function bodyOf(reference) {
  const query = { overlay: true };
  if (!isFile(reference)) return { json: { ...query, ids: [reference] } };
  const form = new FormData();
  const { file } = heldFile(reference);
  form.append("query", JSON.stringify(query));
  form.append("image", file, file.name || "pasted");
  return { form };
}

function verdict(found, { normal, false_alarm: rate }) {
  const odd = found.anomalous;
  // The score is the highest of these.
  const most = Object.keys(found.parts).reduce((a, b) => (found.parts[a] >= found.parts[b] ? a : b));
  const values = { share: percent(found.p_value), normal };
  return [
    el("p", { class: `outcome ${odd ? "bad" : "good"}` }, t(odd ? "anomaly.odd" : "anomaly.usual")),
    el("p", {}, t(odd ? "anomaly.odd.what" : "anomaly.usual.what", values)),
    el(
      "dl",
      { class: "figures" },
      figure("anomaly.score", decimal(found.score, 2)),
      figure(
        "anomaly.threshold",
        decimal(found.threshold, 2),
        t("anomaly.threshold.why", { rate: percent(rate) }),
      ),
      figure("anomaly.p", decimal(found.p_value, 3), t("anomaly.p.why")),
    ),
    odd && el("p", {}, t("anomaly.most"), " ", el("b", {}, t(`anomaly.${most}`))),
    found.boxes.length > 0 &&
      el(
        "ul",
        { class: "plain soft", role: "list" },
        found.boxes.slice(0, PLACES).map((box) => el("li", {}, t("anomaly.place", sides(box)))),
        found.boxes.length > PLACES &&
          el("li", {}, t("anomaly.places", { count: found.boxes.length - PLACES })),
      ),
    found.known && el("p", { class: "soft" }, t("anomaly.known")),
  ];
}

function sides({ left, right, top, bottom }) {
  return Object.fromEntries(
    Object.entries({ left, right, top, bottom }).map(([name, each]) => [name, percent(each, 0)]),
  );
}

function figure(key, value, why = t(`${key}.why`)) {
  return el("div", { title: why }, el("dt", {}, t(key)), el("dd", {}, value));
}
