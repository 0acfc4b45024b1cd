// Why a picture was classified so: what no voter has, and the pair of regions that speaks most for the label.

import { el, fill, icon } from "./dom.js";
import { openImage } from "./hits.js";
import { decimal, t } from "./language.js";
import { report, said, waiting } from "./notices.js";
import { thumbnail } from "./pictures.js";
import { fileName, short, textOf } from "./values.js";

/** Of the voter's picture, on the screen. */
const WIDTH = 160;

/**
 * Return a button that asks why, and the place of the answer.
 * @param ask asks the server, and returns the explanation
 * @param layers over the picture, to which the drawing is added
 * @param neighbours that voted
 */
export function explanationSection(ask, layers, neighbours) {
  const place = el("section", { class: "why" });
  const explain = async () => {
    fill(place, waiting(t("why.waiting")));
    try {
      const found = await ask();
      if (found.skipped) {
        fill(place, said(found.skipped));
        return;
      }
      fill(place, el("h3", {}, t("why.title")), pair(found, neighbours), novelty(found), remarks(found));
      layers.add({ url: found.overlay, key: "w", name: t("why.layer"), shown: true });
    } catch (error) {
      report(place, error, explain);
    }
  };
  const button = { type: "button", title: t("why.what"), onclick: explain };
  return fill(place, el("button", button, icon("layers"), t("why.ask")));
}

function pair({ pair: found, label, runner_up: other }, neighbours) {
  const [named, runner] = [label, other].map((each) => short(textOf(each), 60));
  if (!found) return el("p", {}, t("why.nopair", { label: named }));
  const { voter, voter_region: like, similarity, runner_up_similarity: less } = found;
  const values = { label: named, runner, similarity: decimal(similarity, 2), less: decimal(less, 2) };
  return [el("p", {}, t("why.pair", values)), framed(voter, like, neighbours)];
}

/** Return the picture of a voter with the region that is like one of the picture. */
function framed(id, { left, top, right, bottom }, neighbours) {
  const name = neighbours.find((each) => each.id === id)?.name ?? id;
  const mark = el("span", { class: "region" });
  const parts = { left, top, width: right - left, height: bottom - top };
  for (const [side, part] of Object.entries(parts)) mark.style.setProperty(side, `${100 * part}%`);
  const picture = el("img", { src: thumbnail(id, WIDTH), alt: "", draggable: "false" });
  return el(
    "button",
    { type: "button", class: "bare voter", onclick: () => openImage(id) },
    el("span", { class: "framed" }, picture, mark),
    fileName(name, 120),
  );
}

function novelty({ boxes, threshold }) {
  if (threshold === null) return null;
  return el("p", {}, boxes.length ? t("why.novel", { count: boxes.length }) : t("why.nothing"));
}

function remarks(found) {
  return found.remarks.map((each) => el("div", { class: "soft" }, said(each)));
}
