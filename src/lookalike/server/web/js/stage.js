// A picture large: zoom and pan, layers over it, and a part of it that is searched for.

import { Icon } from "./icons.js";
import { percent, t } from "./language.js";
import { LayerButtons, Layers } from "./layers.js";
import { announce } from "./notices.js";
import { larger, Picture } from "./pictures.js";
import { html, useCallback, useEffect, useLayoutEffect, useListener, useRef, useState } from "./view.js";
import Panzoom from "../vendor/panzoom.js";

/** Times that a picture is enlarged at most. */
const MOST = 12;
/** Of a pan by key: a part of the stage. */
const STRIDE = 0.15;
/** Of a part's side, by a key. */
const NUDGE = 0.02;
/** Of a picture's side: less is a slip of the hand. */
const LEAST = 0.02;
/** Where a part begins that is chosen by keys. */
const MIDDLE = { left: 0.25, top: 0.25, right: 0.75, bottom: 0.75 };

const between = (value, low = 0, high = 1) => Math.min(Math.max(value, low), high);
const bound = (value, most) => between(value, -most, most);

/** Join zoom and pan to an element inside a frame: returns {scale, zoom}. */
function useZoom(frame, inside, still) {
  const panzoom = useRef(null);
  const [scale, setScale] = useState(1);
  useLayoutEffect(() => {
    const element = inside.current;
    // The library's own limits measure the picture while it still moves, and so let it be lost.
    const within = (_, { x, y, scale: by }) => {
      const most = (side) => (side * (by - 1)) / (2 * by);
      const [across, down] = [bound(x, most(element.clientWidth)), bound(y, most(element.clientHeight))];
      element.style.transform = `scale(${by}) translate(${across}px, ${down}px)`;
      if (across !== x || down !== y) made.pan(across, down, { force: true, silent: true });
    };
    const made = Panzoom(element, {
      maxScale: MOST,
      minScale: 1,
      setTransform: within,
      panOnlyWhenZoomed: true,
      cursor: "default",
      // A finger scrolls the page as long as the picture is not enlarged.
      touchAction: "pan-y",
      handleStartEvent: () => {},
    });
    panzoom.current = made;
    const changed = ({ detail }) => {
      setScale(detail.scale);
      const zoomed = detail.scale > 1;
      made.setOptions({ touchAction: zoomed ? "none" : "pan-y", cursor: zoomed ? "grab" : "default" });
    };
    const wheel = (event) => made.zoomWithWheel(event);
    element.addEventListener("panzoomchange", changed);
    frame.current.addEventListener("wheel", wheel, { passive: false });
    return () => {
      made.destroy();
      element.removeEventListener("panzoomchange", changed);
      frame.current?.removeEventListener("wheel", wheel);
    };
  }, []);
  useLayoutEffect(() => panzoom.current.setOptions({ disablePan: still }), [still]);
  const zoom = useCallback((by) => {
    const animate = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (by > 0) panzoom.current.zoomIn({ animate });
    else if (by < 0) panzoom.current.zoomOut({ animate });
    else panzoom.current.reset({ animate });
  }, []);
  const pan = useCallback((across, down) => {
    const { x, y } = panzoom.current.getPan();
    const { width, height } = frame.current.getBoundingClientRect();
    panzoom.current.pan(x - across * STRIDE * width, y - down * STRIDE * height);
  }, []);
  return { scale, zoom, pan };
}

/**
 * A picture with its tools.
 * @param image of the collection, or null
 * @param reference of a file of the visitor, or null
 * @param layers what `useLayers` returned
 * @param search null where no part may be searched for; called with a part {left, top, right, bottom}, 0 … 1 of the picture, that is to be searched for
 */
export function Stage({ image, reference = null, layers, search = null }) {
  const frame = useRef(null);
  const inside = useRef(null);
  const [choosing, setChoosing] = useState(false);
  const [part, setPart] = useState(null);
  const [ratio, setRatio] = useState(null);
  const { scale, zoom, pan } = useZoom(frame, inside, choosing);
  const sharp = useSharper(image, ratio?.longest ?? 0);
  const choose = () => {
    setChoosing(!choosing);
    setPart(null);
    if (!choosing) announce(t("region.how"));
  };
  const keyed = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const by = { "+": 1, "=": 1, "-": -1, 0: 0 }[event.key];
    const step = ARROWS[event.key];
    if (by !== undefined) zoom(by);
    else if ((search && event.key.toLowerCase() === "r") || (event.key === "Escape" && choosing)) choose();
    else if (step && scale > 1 && !choosing) pan(...step);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const loaded = ({ target }) => {
    const { naturalWidth: width, naturalHeight: height } = target;
    if (target.matches(":first-child") && width) setRatio({ value: width / height, longest: Math.max(width, height) });
  };
  return html`<div class="stage-place">
    <div
      class=${`stage ${choosing ? "choosing" : ""}`}
      ref=${frame}
      tabindex="0"
      role="group"
      aria-label=${t("stage.label")}
      onkeydown=${keyed}
    >
      <div class="stage-inside" ref=${inside}>
        <div class="stage-picture" style=${{ "--ratio": ratio?.value ?? 1 }} onLoadCapture=${loaded}>
          <${Picture} image=${image} reference=${reference} width=${512} eager why>
            ${sharp && html`<img class="sharp" src=${sharp} alt="" draggable=${false} />`}
            <${Layers} of=${layers} />
          <//>
          ${choosing && html`<${Part} part=${part} change=${setPart} search=${search} />`}
        </div>
      </div>
    </div>
    <div class="actions stage-tools">
      <${Tool} drawing="minus" label=${t("stage.out")} act=${() => zoom(-1)} disabled=${scale <= 1} />
      <${Tool} drawing="plus" label=${t("stage.in")} act=${() => zoom(1)} disabled=${scale >= MOST} />
      <${Tool} drawing="reset" label=${t("stage.fit")} act=${() => zoom(0)} disabled=${scale <= 1} />
      ${search &&
      html`<button
        type="button"
        class="chip"
        aria-pressed=${String(choosing)}
        title=${t("region.key")}
        onclick=${choose}
      >
        <${Icon} name="region" />${t("region.choose")}
      </button>`}
      <${LayerButtons} of=${layers} />
      ${choosing &&
      (part
        ? html`<button type="button" class="primary" onclick=${() => search(part)}>
            <${Icon} name="search" />${t("region.search")}
          </button>`
        : html`<span class="soft">${t("region.drag")}</span>`)}
    </div>
  </div>`;
}

function Tool({ drawing, label, act, disabled }) {
  return html`<button
    type="button"
    class="quiet"
    aria-label=${label}
    title=${label}
    aria-disabled=${String(disabled)}
    onclick=${() => disabled || act()}
  >
    <${Icon} name=${drawing} />
  </button>`;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The address of a sharper picture once it is there, where the image has more pixels than what is shown of it. */
function useSharper(image, longest) {
  const [sharp, setSharp] = useState(null);
  useEffect(() => {
    setSharp(null);
    const address = image && larger(image.id, longest);
    if (!address) return undefined;
    const loading = new Image();
    loading.onload = () => setSharp(address);
    loading.src = address;
    return () => {
      loading.onload = null;
      loading.src = "";
    };
  }, [image?.id, longest]);
  return sharp;
}

/** The rectangle that is dragged over a picture, or moved by keys. */
function Part({ part, change, search }) {
  const ground = useRef(null);
  const box = useRef(null);
  const from = useRef(null);
  useLayoutEffect(() => box.current.focus({ preventScroll: true }), []);
  const at = (event) => {
    const { left, top, width, height } = ground.current.getBoundingClientRect();
    return { x: between((event.clientX - left) / width), y: between((event.clientY - top) / height) };
  };
  const begin = (event) => {
    if (event.button) return;
    event.preventDefault();
    event.stopPropagation();
    from.current = at(event);
    ground.current.setPointerCapture(event.pointerId);
    box.current.focus({ preventScroll: true });
    change(null);
  };
  const move = (event) => {
    if (!from.current) return;
    const to = at(event);
    const [left, right] = [from.current.x, to.x].sort((a, b) => a - b);
    const [top, bottom] = [from.current.y, to.y].sort((a, b) => a - b);
    change(right - left < LEAST || bottom - top < LEAST ? null : { left, top, right, bottom });
  };
  const end = () => {
    from.current = null;
  };
  const keyed = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = ARROWS[event.key];
    if (event.key === "Enter" && part) search(part);
    else if (step) {
      const next = part ? moved(part, step, event.shiftKey) : MIDDLE;
      change(next);
      announce(t("region.at", told(next)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  // A finger that has left the window draws no longer.
  useListener("pointercancel", end);
  const shown = part && { left: part.left, top: part.top, width: part.right - part.left, height: part.bottom - part.top };
  return html`<div class="part-ground" ref=${ground} onpointerdown=${begin} onpointermove=${move} onpointerup=${end}>
    <div
      class=${`part ${part ? "" : "none"}`}
      ref=${box}
      tabindex="0"
      role="group"
      aria-label=${part ? t("region.at", told(part)) : t("region.how")}
      style=${shown && Object.fromEntries(Object.entries(shown).map(([side, each]) => [side, `${100 * each}%`]))}
      onkeydown=${keyed}
    ></div>
  </div>`;
}

/** Move a part, or change its size, within the picture. */
function moved({ left, top, right, bottom }, [across, down], resize) {
  const [x, y] = [across * NUDGE, down * NUDGE];
  if (resize) {
    return { left, top, right: between(right + x, left + LEAST), bottom: between(bottom + y, top + LEAST) };
  }
  const [dx, dy] = [between(x, -left, 1 - right), between(y, -top, 1 - bottom)];
  return { left: left + dx, top: top + dy, right: right + dx, bottom: bottom + dy };
}

function told(part) {
  return Object.fromEntries(Object.entries(part).map(([side, each]) => [side, percent(each, 0)]));
}
