// The map as a drawing that can be moved, magnified and pointed at.

import { t } from "./language.js";
import { colours, shapeOf } from "./map_marks.js";
import { MapView } from "./map_view.js";

const NEAR = 14;
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/**
 * Return the drawing of a map.
 * @param points x, y and label: arrays of one number an image
 * @param wanted whether a point is to be seen
 * @param point called with the image that is pointed at, −1 for none, and its place in pixels
 * @param open called with the image that is chosen
 * @param begin called with the number of images that are outside the window at first
 * @param signal ends it
 * @returns {canvas, draw, magnify, reset}
 */
export function mapCanvas({ points, wanted, point, open, begin, signal }) {
  const view = new MapView(points.x, points.y);
  const canvas = document.createElement("canvas");
  const about = { tabindex: "0", role: "application", "aria-label": t("map.label"), "aria-describedby": "map-how" };
  for (const [name, value] of Object.entries(about)) canvas.setAttribute(name, value);
  let at = -1;
  let asked = false;
  const paint = () => {
    asked = false;
    drawPoints(canvas, view, points, wanted, at);
  };
  const draw = () => {
    if (!asked) requestAnimationFrame(paint);
    asked = true;
  };
  const pointAt = (n) => {
    if (n === at) return;
    at = n;
    canvas.dataset.point = String(n);
    point(n, n < 0 ? null : view.place(n));
    draw();
  };
  const moved = (act) => {
    act();
    if (at >= 0) point(at, view.place(at));
    draw();
  };
  let begun = false;
  new ResizeObserver(() => {
    view.resize(canvas.clientWidth, canvas.clientHeight);
    if (!begun && canvas.clientWidth) {
      begun = true;
      begin(view.begin());
    }
    draw();
  }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, { signal });
  pointers(canvas, view, {
    hover: (left, top) => pointAt(view.nearest(left, top, wanted, NEAR)),
    out: () => pointAt(-1),
    press: (left, top) => {
      const n = view.nearest(left, top, wanted, NEAR * 1.5);
      if (n >= 0) open(n);
    },
    moved,
  });
  canvas.addEventListener("blur", () => pointAt(-1));
  keys(canvas, view, { current: () => at, pointAt, wanted, moved, open });
  return {
    canvas,
    draw,
    magnify: (by) => moved(() => view.magnify(by)),
    reset: () => moved(() => view.reset()),
  };
}

function drawPoints(canvas, view, points, wanted, at) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = view.size;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  const { of, ink, paper } = colours();
  const size =
    (points.x.length > 3000 ? 0.55 : points.x.length > 600 ? 0.75 : 1) *
    Math.min(1 + Math.log2(view.zoom) / 6, 1.8);
  const mark = (n, times) => {
    const [left, top] = view.place(n);
    if (left < -20 || top < -20 || left > width + 20 || top > height + 20) return;
    pen.setTransform(ratio * size * times, 0, 0, ratio * size * times, left * ratio, top * ratio);
    pen.fillStyle = of(points.label[n]);
    const shape = shapeOf(points.label[n]);
    pen.fill(shape);
    pen.stroke(shape);
  };
  pen.strokeStyle = paper;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.85;
  for (let n = 0; n < points.x.length; n += 1) if (wanted(n)) mark(n, 1);
  if (at < 0) return;
  pen.globalAlpha = 1;
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  mark(at, 1.7);
}

/** Mouse, pen and fingers: one moves the map, two magnify it, and a press without moving chooses. */
function pointers(canvas, view, { hover, out, press, moved }) {
  const down = new Map();
  let travelled = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const apart = () => {
    const [[a, b], [c, d]] = [...down.values()];
    return Math.hypot(a - c, b - d);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!down.size) travelled = 0;
    down.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [left, top] = place(event);
    const before = down.get(event.pointerId);
    if (!before) {
      hover(left, top);
      return;
    }
    const distance = down.size === 2 ? apart() : 0;
    down.set(event.pointerId, [left, top]);
    travelled += Math.hypot(left - before[0], top - before[1]);
    if (travelled < 5) return;
    if (down.size === 2) {
      const [[a, b], [c, d]] = [...down.values()];
      moved(() => view.magnify(apart() / Math.max(distance, 1), (a + c) / 2, (b + d) / 2));
    } else moved(() => view.move(left - before[0], top - before[1]));
  });
  const up = (event) => {
    const was = down.delete(event.pointerId);
    if (was && event.type === "pointerup" && travelled < 5 && !down.size) press(...place(event));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => !down.size && out());
  canvas.addEventListener(
    "wheel",
    (event) => {
      // The wheel scrolls the page until the map is meant: with Ctrl, as a pinch on a touchpad says it, or in use.
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      moved(() => view.magnify(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...place(event)));
    },
    { passive: false },
  );
}

function keys(canvas, view, { current, pointAt, wanted, moved, open }) {
  canvas.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = STEPS[event.key];
    const middle = () => view.nearest(view.size[0] / 2, view.size[1] / 2, wanted);
    if (step && event.shiftKey) moved(() => view.move(-60 * step[0], -60 * step[1]));
    else if (step) {
      const from = current();
      const to = from < 0 || !wanted(from) ? middle() : view.next(from, step, wanted);
      if (to >= 0) {
        view.reveal(to);
        pointAt(to);
      }
    } else if (event.key === "Enter" && current() >= 0) open(current());
    else if (event.key === "+" || event.key === "=") moved(() => view.magnify(1.4));
    else if (event.key === "-") moved(() => view.magnify(1 / 1.4));
    else if (event.key === "0") moved(() => view.reset());
    else return;
    event.preventDefault();
  });
}
