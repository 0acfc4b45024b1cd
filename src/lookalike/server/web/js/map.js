// The map of a collection: its images in the plane in which their vectors differ most.

import { ask } from "./api.js";
import { openImage } from "./hits.js";
import { Icon } from "./icons.js";
import { jobPath } from "./jobs.js";
import { number, percent, t } from "./language.js";
import { mapCanvas } from "./map_canvas.js";
import { Mark } from "./map_marks.js";
import { announce, Answer } from "./notices.js";
import { thumbnail } from "./pictures.js";
import { LabelTable } from "./tables.js";
import { short, textOf, Value } from "./values.js";
import { html, Node, useAnswer, useEffect, useMemo, useRef, useSignal, useState } from "./view.js";

export const map = { kind: "map", what: "maps", asked: () => ({}), Show };

const ROWS = 50;
/** Milliseconds that a point is pointed at before its picture is asked for: a hand may pass over many. */
const POINTED = 60;

function Show({ job }) {
  const answer = useAnswer(job.id, (signal) => ask("GET", jobPath(job.id, "map"), { signal }));
  return html`<${Answer} of=${answer}>${(points) => html`<${Drawing} points=${points} by=${job.asked.by ?? ""} />`}<//>`;
}

function Drawing({ points, by }) {
  const signal = useSignal();
  const [hidden, setHidden] = useState(new Set());
  const [outside, setOutside] = useState(0);
  const [pointed, setPointed] = useState({ n: -1, at: null });
  // The drawing asks for the latest, and is made once.
  const latest = useRef(hidden);
  latest.current = hidden;
  const drawn = useMemo(
    () =>
      mapCanvas({
        points,
        wanted: (n) => !latest.current.has(points.label[n]),
        point: (n, at) => setPointed({ n, at }),
        open: (n) => openImage(points.ids[n]),
        begin: setOutside,
        signal,
      }),
    [points],
  );
  useEffect(() => drawn.draw(), [hidden]);
  const toggle = (label) => {
    const next = new Set(hidden);
    if (!next.delete(label)) next.add(label);
    setHidden(next);
  };
  const zoom = (name, drawing, act) =>
    html`<button type="button" aria-label=${t(`map.${name}`)} title=${t(`map.${name}`)} onclick=${act}>
      <${Icon} name=${drawing} />
    </button>`;
  const [first, second] = points.variance.map((each) => percent(each));
  return html`<section class="box map">
    <h2>${t("map.title")}</h2>
    <p class="soft">${t("map.what", { drawn: points.drawn, images: points.images, first, second })}</p>
    <${Legend} points=${points} by=${by} hidden=${hidden} toggle=${toggle} />
    <div class="drawing">
      <${Node} node=${drawn.canvas} />
      <${Tip} points=${points} pointed=${pointed} canvas=${drawn.canvas} />
      <div class="zoom">
        ${zoom("in", "plus", () => drawn.magnify(1.6))} ${zoom("out", "minus", () => drawn.magnify(1 / 1.6))}
        ${zoom("all", "reset", drawn.reset)}
      </div>
    </div>
    ${outside > 0 && html`<p class="soft">${t("map.outside", { count: outside })}</p>`}
    <p class="soft" id="map-how">${t("map.how")}</p>
    <${Table} points=${points} by=${by} />
  </section>`;
}

function labelText(points, n) {
  return points.label[n] < 0 ? t("map.others") : textOf(points.labels[points.label[n]]);
}

/** What is shown of the image that is pointed at. */
function Tip({ points, pointed: { n, at }, canvas }) {
  const [shown, setShown] = useState(-1);
  useEffect(() => {
    if (n < 0) return undefined;
    if (document.activeElement === canvas)
      announce(`${short(labelText(points, n), 60)}, ${short(points.names[n], 120)}`);
    const timer = setTimeout(() => setShown(n), POINTED);
    return () => clearTimeout(timer);
  }, [n]);
  // What was pointed at last stays, unseen, until something else is.
  const last = useRef(null);
  if (n >= 0) last.current = { n, at: at.map(Math.round) };
  if (!last.current) return null;
  const {
    n: point,
    at: [left, top],
  } = last.current;
  const sides = [left > canvas.clientWidth / 2 && "leftwards", top > canvas.clientHeight / 2 && "upwards"];
  return html`<div
    class=${["tip", ...sides].filter(Boolean).join(" ")}
    hidden=${n < 0}
    style=${{ "--left": `${left}px`, "--top": `${top}px` }}
  >
    <img
      key=${point}
      src=${shown === point ? thumbnail(points.ids[point], 128) : null}
      alt=""
      width="128"
      height="128"
      decoding="async"
    />
    <strong><${Value} value=${labelText(points, point)} longest=${60} /></strong>
    <bdi class="name">${short(points.names[point], 120)}</bdi>
  </div>`;
}

/** The labels with their marks; a click hides those of one. */
function Legend({ points, by, hidden, toggle }) {
  const counts = new Map();
  for (const label of points.label) counts.set(label, (counts.get(label) ?? 0) + 1);
  const places = [...points.labels.keys(), -1].filter((each) => counts.has(each));
  return html`<div class="chips legend" role="group" aria-label=${t("map.legend", { field: short(by, 80) })}>
    ${places.map(
      (each) => html`<button
        type="button"
        class="chip"
        key=${each}
        aria-pressed=${String(!hidden.has(each))}
        onclick=${() => toggle(each)}
      >
        <${Mark} label=${each} />
        ${each < 0 ? t("map.others") : html`<${Value} value=${points.labels[each]} longest=${40} />`}
        <span class="count">${number(counts.get(each))}</span>
      </button>`,
    )}
  </div>`;
}

/** The same as a table, for those who cannot see the drawing or point at it. */
function Table({ points, by }) {
  const [count, setCount] = useState(0);
  const order = [...points.ids.keys()].sort((a, b) => points.label[a] - points.label[b]);
  const more = () => setCount(count + ROWS);
  const left = order.length - count;
  return html`<details ontoggle=${() => count || more()}>
    <summary>${t("map.table")}</summary>
    <${LabelTable}
      title=${t("map.table")}
      texts=${2}
      head=${[t("table.image"), short(by, 60)]}
      rows=${order.slice(0, count).map((n) => [
        html`<button type="button" class="link" onclick=${() => openImage(points.ids[n])}>
          <bdi>${short(points.names[n], 120)}</bdi>
        </button>`,
        html`<${Value} value=${labelText(points, n)} longest=${80} />`,
      ])}
    />
    <div class="more">
      ${left > 0 && html`<button type="button" onclick=${more}>${t("rest", { count: left })}</button>`}
    </div>
  </details>`;
}
