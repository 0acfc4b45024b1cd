// The map of a collection: its images in the plane in which their vectors differ most.

import { ask } from "./api.js";
import { el, fill, icon, put } from "./dom.js";
import { openImage } from "./hits.js";
import { jobPath } from "./jobs.js";
import { number, percent, t } from "./language.js";
import { mapCanvas } from "./map_canvas.js";
import { markDrawing } from "./map_marks.js";
import { announce } from "./notices.js";
import { thumbnail } from "./pictures.js";
import { short, shown, textOf } from "./values.js";

export const map = {
  kind: "map",
  what: "maps",
  fields: () => ({ row: null, more: null, asked: () => ({}) }),
  show,
};

const ROWS = 50;

async function show(place, job, signal) {
  const points = await ask("GET", jobPath(job.id, "map"), { signal });
  const hidden = new Set();
  const tip = mapTip(points);
  const outside = el("p", { class: "soft" });
  const drawn = mapCanvas({
    points,
    wanted: (n) => !hidden.has(points.label[n]),
    point: tip.pointAt,
    open: (n) => openImage(points.ids[n]),
    begin: (count) => fill(outside, count > 0 && t("map.outside", { count })),
    signal,
  });
  const zoom = (label, drawing, act) =>
    el("button", { type: "button", "aria-label": label, title: label, onclick: act }, icon(drawing));
  fill(
    place,
    el(
      "section",
      { class: "box map" },
      el("h2", {}, t("map.title")),
      el(
        "p",
        { class: "soft" },
        t("map.what", {
          drawn: points.drawn,
          images: points.images,
          first: percent(points.variance[0]),
          second: percent(points.variance[1]),
        }),
      ),
      legend(points, job.asked.by ?? "", hidden, drawn.draw),
      el(
        "div",
        { class: "drawing" },
        drawn.canvas,
        tip.place,
        el(
          "div",
          { class: "zoom" },
          zoom(t("map.in"), "plus", () => drawn.magnify(1.6)),
          zoom(t("map.out"), "minus", () => drawn.magnify(1 / 1.6)),
          zoom(t("map.all"), "reset", drawn.reset),
        ),
      ),
      outside,
      el("p", { class: "soft", id: "map-how" }, t("map.how")),
      table(points, job.asked.by ?? ""),
    ),
  );
  return () => {};
}

function labelText(points, n) {
  return points.label[n] < 0 ? t("map.others") : textOf(points.labels[points.label[n]]);
}

/** What is shown of the image that is pointed at. */
function mapTip(points) {
  const image = el("img", { alt: "", width: "128", height: "128", decoding: "async" });
  const label = el("strong", {});
  const name = el("bdi", { class: "name" });
  const place = el("div", { class: "tip", hidden: true }, image, label, name);
  let timer = null;
  const pointAt = (n, at) => {
    clearTimeout(timer);
    place.hidden = n < 0;
    if (n < 0) return;
    place.style.setProperty("--left", `${Math.round(at[0])}px`);
    place.style.setProperty("--top", `${Math.round(at[1])}px`);
    place.classList.toggle("leftwards", at[0] > place.parentNode.clientWidth / 2);
    place.classList.toggle("upwards", at[1] > place.parentNode.clientHeight / 2);
    if (place.dataset.point === String(n)) return;
    place.dataset.point = String(n);
    fill(label, shown(labelText(points, n), 60));
    fill(name, short(points.names[n], 120));
    image.removeAttribute("src");
    // A hand that passes over many points is not to ask for all of their pictures.
    timer = setTimeout(() => {
      image.src = thumbnail(points.ids[n], 128);
    }, 60);
    if (document.activeElement?.tagName === "CANVAS")
      announce(`${short(labelText(points, n), 60)}, ${short(points.names[n], 120)}`);
  };
  return { place, pointAt };
}

/** The labels with their marks; a click hides those of one. */
function legend(points, by, hidden, draw) {
  const counts = new Map();
  for (const label of points.label) counts.set(label, (counts.get(label) ?? 0) + 1);
  const places = [...points.labels.keys(), -1].filter((each) => counts.has(each));
  const buttons = places.map((each) => {
    const button = el(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "true",
        onclick: () => {
          if (hidden.has(each)) hidden.delete(each);
          else hidden.add(each);
          button.setAttribute("aria-pressed", String(!hidden.has(each)));
          draw();
        },
      },
      markDrawing(each),
      each < 0 ? t("map.others") : shown(points.labels[each], 40),
      el("span", { class: "count" }, number(counts.get(each))),
    );
    return button;
  });
  return el(
    "div",
    { class: "chips legend", role: "group", "aria-label": t("map.legend", { field: short(by, 80) }) },
    buttons,
  );
}

/** The same as a table, for those who cannot see the drawing or point at it. */
function table(points, by) {
  const order = [...points.ids.keys()].sort((a, b) => points.label[a] - points.label[b]);
  const body = el("tbody", {});
  const more = el("div", { class: "more" });
  let count = 0;
  const add = () => {
    const some = order.slice(count, count + ROWS);
    count += some.length;
    put(
      body,
      some.map((n) =>
        el(
          "tr",
          {},
          el(
            "th",
            { scope: "row" },
            el(
              "button",
              { type: "button", class: "link", onclick: () => openImage(points.ids[n]) },
              el("bdi", {}, short(points.names[n], 120)),
            ),
          ),
          el("td", {}, shown(labelText(points, n), 80)),
        ),
      ),
    );
    const left = order.length - count;
    fill(more, left > 0 && el("button", { type: "button", onclick: add }, t("rest", { count: left })));
  };
  return el(
    "details",
    { ontoggle: () => count || add() },
    el("summary", {}, t("map.table")),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("map.table") },
      el(
        "table",
        { class: "full" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, t("table.image")),
            el("th", { scope: "col" }, el("bdi", {}, short(by, 60))),
          ),
        ),
        body,
      ),
    ),
    more,
  );
}
