// The grid of images that all views have: drawn only where it is seen, with arrow keys and a choice of several.

import { CardFace, openImage, Quick } from "./hits.js";
import { Layout } from "./gallery_layout.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { useSequence } from "./sequence.js";
import { short } from "./values.js";
import { html, useEffect, useLayoutEffect, useListener, useReducer, useRef, useState } from "./view.js";

/** A list of no more is in the document whole, so that the browser itself finds all names in it. */
const WHOLE = 240;
/** Of the window's height, what is drawn above and below it. */
const AHEAD = 0.6;
/** Pixels that a pointer moves before it draws a rectangle. */
const SLIP = 6;
/** Pixels from the window's edge at which a rectangle scrolls. */
const EDGE = 48;

/**
 * A grid of images.
 * @param label what a screen reader calls it
 * @param list as `useListing` returns it, or `listed`
 * @param selection as `useSelection` returns it; null where none are chosen
 * @param least width of a cell in CSS pixels
 * @param caption height of what stands below a picture
 * @param heading called with a group for what stands above it
 * @param fields, note, actions of the cards: note and actions are called with an image
 */
export function Gallery({
  label,
  list,
  selection = null,
  least = 168,
  caption = 96,
  kind = "",
  heading = null,
  fields = null,
  note = null,
  actions = [],
}) {
  const place = useRef(null);
  const [width, setWidth] = useState(0);
  const [current, setCurrent] = useState(0);
  const moving = useRef(false);
  const total = list.total ?? 0;
  const layout = new Layout({ total, groups: heading ? list.groups : [], width: width || 1000, least, caption });
  const [above, below] = useSeen(place, layout, total <= WHOLE);
  useLayoutEffect(() => {
    const measured = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    measured.observe(place.current);
    return () => measured.disconnect();
  }, []);
  const rows = layout.between(above, below);
  const focused = Math.min(current, Math.max(total - 1, 0));
  // The focus is not lost when its row is scrolled away.
  const kept = total > 0 ? layout.rowOf(focused) : null;
  if (kept && !rows.some((row) => row.row === kept.row)) rows.push(kept);
  const cells = rows.filter((row) => !row.group && row !== kept);
  const [from, to] = [cells[0]?.from ?? 0, cells.at(-1)?.to ?? 1];
  useEffect(() => list.want(from, Math.max(to - 1, from)), [list, from, to, total]);
  const button = (index) => place.current.querySelector(`[data-index="${index}"] .open`);
  useLayoutEffect(() => {
    if (!moving.current) return;
    moving.current = false;
    const cell = button(focused);
    cell?.focus({ preventScroll: true });
    cell?.closest(".card").scrollIntoView({ block: "nearest" });
  });
  const move = (index) => {
    moving.current = true;
    setCurrent(index);
  };
  useSequence({
    has: (id, step) => {
      const at = list.indexOf(id);
      return at >= 0 && at + step >= 0 && at + step < total;
    },
    get: async (id, step) => {
      const index = list.indexOf(id) + step;
      list.want(Math.max(0, index - 1), Math.min(total - 1, index + 1));
      return (await list.get(index))?.id ?? null;
    },
    reveal: (id) => move(list.indexOf(id)),
  });
  const keyed = keys({ list, layout, selection, total, focused, move });
  const band = useBand(place, layout, list, selection);
  return html`<div
    class=${`gallery ${kind} ${selection?.ids.size ? "choosing" : ""}`}
    ref=${place}
    role="grid"
    aria-label=${label}
    aria-rowcount=${layout.rows}
    aria-colcount=${layout.columns}
    aria-multiselectable=${selection ? "true" : null}
    style=${{ height: `${layout.height}px`, "--columns": layout.columns, "--caption": `${caption}px` }}
    onkeydown=${keyed}
    onfocusin=${(event) => {
      const index = event.target.closest("[data-index]")?.dataset.index;
      if (index !== undefined) setCurrent(Number(index));
    }}
    ...${band.listeners}
  >
    ${rows.map((row) =>
      row.group
        ? html`<div class="gallery-head" role="row" aria-rowindex=${row.row + 1} key=${`h${row.row}`} style=${at(row)}>
            <div role="rowheader" aria-colspan=${layout.columns}>${heading(row.group)}</div>
          </div>`
        : html`<div class="gallery-row" role="row" aria-rowindex=${row.row + 1} key=${row.row} style=${at(row)}>
            ${Array.from({ length: row.to - row.from }, (_, n) => {
              const image = list.at(row.from + n);
              return html`<${Cell}
                key=${row.from + n}
                image=${image}
                index=${row.from + n}
                column=${n + 1}
                width=${Math.round(layout.side)}
                reached=${row.from + n === focused}
                chosen=${image !== null && Boolean(selection?.has(image.id))}
                selection=${selection}
                drawn=${band.drawn}
                fields=${fields}
                note=${image && note ? note(image) : null}
                actions=${actions}
              />`;
            })}
          </div>`,
    )}
    ${band.shown && html`<div class="band" style=${band.shown}></div>`}
  </div>`;
}

const at = ({ top }) => ({ transform: `translateY(${top}px)` });

/** One image of the grid, or the place for it. */
function Cell({ image, index, column, width, reached, chosen, selection, drawn, fields, note, actions }) {
  const common = { role: "gridcell", "aria-colindex": column, "data-index": index };
  if (!image) {
    return html`<div class="card" ...${common}>
      <button type="button" class="open" tabindex=${reached ? 0 : -1} aria-label=${t("waiting")} aria-busy="true">
        <span class="picture"></span>
      </button>
    </div>`;
  }
  const clicked = (event) => {
    // The end of a rectangle is no click.
    if (drawn.current) return;
    if (selection && event.shiftKey) selection.extend(index);
    else if (selection && (event.ctrlKey || event.metaKey)) selection.toggle(image.id, index);
    else openImage(image.id);
  };
  const name = short(image.name, 120);
  return html`<div
    class=${`card ${chosen ? "chosen" : ""}`}
    ...${common}
    data-image=${image.id}
    aria-selected=${selection ? String(chosen) : null}
  >
    <button type="button" class="open" tabindex=${reached ? 0 : -1} onclick=${clicked}>
      <${CardFace} image=${image} width=${width} fields=${fields} note=${note} />
    </button>
    ${selection &&
    html`<button
      type="button"
      class="check"
      tabindex="-1"
      aria-label=${t(chosen ? "select.less" : "select.one", { name })}
      onclick=${(event) => (event.shiftKey ? selection.extend(index) : selection.toggle(image.id, index))}
    >
      <${Icon} name="check" />
    </button>`}
    <${Quick} image=${image} actions=${actions} />
  </div>`;
}

/** Return from which to which height of a grid the window shows it, and some more. */
function useSeen(place, layout, whole) {
  const [, redraw] = useReducer((n) => n + 1, 0);
  const seen = useRef([0, innerHeight * (1 + AHEAD)]);
  const drawn = useRef("");
  const rowsOf = ([above, below]) => layout.between(above, below).map((each) => each.row);
  const look = () => {
    if (!place.current) return;
    const { top } = place.current.getBoundingClientRect();
    const more = innerHeight * AHEAD;
    seen.current = [-top - more, innerHeight - top + more];
    const rows = rowsOf(seen.current);
    if (`${rows[0]} ${rows.at(-1)}` !== drawn.current && !whole) redraw();
  };
  useListener("scroll", look, document);
  useListener("resize", look, window);
  useLayoutEffect(look);
  const range = whole ? [0, Math.max(layout.height, 1)] : seen.current;
  const rows = rowsOf(range);
  drawn.current = `${rows[0]} ${rows.at(-1)}`;
  return range;
}

/** Return what the keys do: arrows go, with Shift they choose; Space chooses one; Ctrl+A all; Escape none. */
function keys({ list, layout, selection, total, focused, move }) {
  const page = () => Math.max(1, Math.floor(innerHeight / layout.row) - 1);
  const targets = {
    ArrowLeft: () => focused - 1,
    ArrowRight: () => focused + 1,
    ArrowUp: () => layout.vertical(focused, -1),
    ArrowDown: () => layout.vertical(focused, 1),
    Home: () => 0,
    End: () => total - 1,
    PageUp: () => Array.from({ length: page() }).reduce((index) => layout.vertical(index, -1), focused),
    PageDown: () => Array.from({ length: page() }).reduce((index) => layout.vertical(index, 1), focused),
  };
  return (event) => {
    if (event.altKey || !event.target.closest(".card > .open")) return;
    const modified = event.ctrlKey || event.metaKey;
    const image = list.at(focused);
    if (targets[event.key] && !modified && total > 0) {
      const next = Math.min(Math.max(targets[event.key](), 0), total - 1);
      if (event.shiftKey && selection) selection.extend(next, focused);
      move(next);
    } else if (!selection) return;
    else if (event.key === " " && !modified) {
      if (event.shiftKey) selection.extend(focused);
      else if (image) selection.toggle(image.id, focused);
    } else if (event.key.toLowerCase() === "a" && modified) list.ids(0, total).then(selection.only);
    else if (event.key === "Escape" && selection.ids.size) selection.clear();
    else return;
    event.preventDefault();
  };
}

/** The rectangle that a mouse draws over a grid to choose what it touches. */
function useBand(place, layout, list, selection) {
  const [shown, setShown] = useState(null);
  const from = useRef(null);
  const drawn = useRef(false);
  const latest = useRef({});
  latest.current = { layout, list, selection };
  const point = (event) => {
    const { left, top } = place.current.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const begin = (event) => {
    if (!selection || event.button || event.pointerType === "touch" || event.target.closest(".quick, .check")) return;
    drawn.current = false;
    const before = event.ctrlKey || event.metaKey || event.shiftKey ? [...selection.ids] : [];
    from.current = { ...point(event), before };
  };
  const move = (event) => {
    if (!from.current) return;
    const { x, y, before } = from.current;
    const to = point(event);
    if (!drawn.current && Math.hypot(to.x - x, to.y - y) < SLIP) return;
    drawn.current = true;
    const [left, right] = [x, to.x].sort((a, b) => a - b);
    const [top, bottom] = [y, to.y].sort((a, b) => a - b);
    setShown({ left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    const touched = latest.current.layout.touched({ left, top, right, bottom });
    const ids = touched.map((index) => latest.current.list.at(index)?.id).filter(Boolean);
    latest.current.selection.only([...before, ...ids]);
    const beyond = Math.max(0, event.clientY - innerHeight + EDGE) - Math.max(0, EDGE - event.clientY);
    if (beyond) scrollBy(0, beyond / 2);
  };
  const end = () => {
    if (!from.current) return;
    from.current = null;
    setShown(null);
    // The click that follows is of the same movement.
    setTimeout(() => {
      drawn.current = false;
    });
  };
  useListener("pointermove", move);
  useListener("pointerup", end);
  useListener("pointercancel", end);
  return { shown, drawn, listeners: { onpointerdown: begin } };
}

