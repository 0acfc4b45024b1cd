// What can be done with the images that are chosen.

import { ask, askFile } from "./api.js";
import { app, here, labelField, loadCollections, whyNoChanges } from "./app.js";
import { Combobox } from "./controls.js";
import { useKnownValues } from "./correcting.js";
import { save } from "./download.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { announce, ProblemBox } from "./notices.js";
import { MOST_TERMS } from "./question.js";
import { change, go, read } from "./route.js";
import { short, valueOf } from "./values.js";
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "./view.js";

/** Images beside each other. */
const MOST_COMPARED = 6;
/** Images of one request: MOST of the server's schemas of changes. */
const MOST_CHANGED = 10_000;

/** A bar at the bottom of the window while something is chosen, or was just done with it. */
export function Chosen({ selection, list }) {
  const ids = [...selection.ids];
  const count = ids.length;
  const [labelling, setLabelling] = useState(false);
  const [busy, setBusy] = useState(false);
  const [told, setTold] = useState(null);
  useEffect(() => {
    if (count) announce(t("select.count", { count }));
    else setLabelling(false);
  }, [count]);
  const act = async (request) => {
    setBusy(true);
    setTold(null);
    try {
      await request();
    } catch (error) {
      setTold(html`<${ProblemBox} error=${error} />`);
      if (error.status === undefined) throw error;
    } finally {
      setBusy(false);
    }
  };
  const alter = (what, body, key) =>
    act(async () => {
      const done = await changeAll(what, ids, body);
      selection.clear();
      setLabelling(false);
      const text = t(key, { count: done.changed });
      setTold(
        html`<span class="good"><${Icon} name="check" />${text}</span> ${done.undo.length > 0 &&
          html`<button type="button" class="quiet" onclick=${() => undo(done.undo)}>
            <${Icon} name="undo" />${t("correct.undo")}
          </button>`}`,
      );
      announce(text);
      await renewed(list);
    });
  const undo = (undos) =>
    act(async () => {
      // What was done last is undone first.
      for (const each of undos.toReversed()) await ask("POST", here("undo", each));
      setTold(html`<span>${t("correct.undone")}</span>`);
      announce(t("correct.undone"));
      await renewed(list);
    });
  const bar = useRef(null);
  // The form or the button that was used is gone, and the keys are to go on with what can be done now.
  useEffect(() => {
    if (told && document.activeElement === document.body) bar.current.querySelector(".told button")?.focus();
  }, [told]);
  const like = () => {
    const params = new URLSearchParams(ids.map((id) => ["p", `+${id}`]));
    go({ collection: read().collection, view: "search", params });
  };
  if (!count && !told) return null;
  return html`<section class="chosen" aria-label=${t("select.title")} ref=${bar}>
    ${count > 0 &&
    html`<div class="chosen-row">
      <span class="together">
        <button
          type="button"
          class="quiet"
          aria-label=${t("select.none")}
          title=${t("select.none")}
          onclick=${selection.clear}
        >
          <${Icon} name="close" />
        </button>
        <strong>${t("select.count", { count })}</strong>
      </span>
      <div class="actions">
        ${!whyNoChanges() &&
        html`<button
            type="button"
            aria-expanded=${String(labelling)}
            disabled=${busy}
            onclick=${() => setLabelling(!labelling)}
          >
            <${Icon} name="tag" />${t("select.label")}
          </button>
          <button
            type="button"
            disabled=${busy}
            title=${t("select.remove.what")}
            onclick=${() => alter("removals", {}, "select.removed")}
          >
            <${Icon} name="trash" />${t("select.remove")}
          </button>`}
        <button type="button" disabled=${count > MOST_TERMS} onclick=${like}>
          <${Icon} name="search" />${t("select.like")}
        </button>
        <button
          type="button"
          disabled=${count < 2 || count > MOST_COMPARED}
          onclick=${() => change({ compare: ids }, { over: "compare" })}
        >
          <${Icon} name="beside" />${t("select.compare")}
        </button>
        ${["csv", "zip"].map(
          (format) =>
            html`<button
              type="button"
              disabled=${busy || count > MOST_CHANGED}
              title=${t(`select.${format}.what`)}
              onclick=${() => act(() => takeAlong(ids, format))}
            >
              <${Icon} name="download" />${t(`select.${format}`)}
            </button>`,
        )}
        ${count < list.total &&
        html`<button
          type="button"
          disabled=${busy}
          onclick=${() => act(async () => selection.only(await list.ids(0, list.total)))}
        >
          ${t("select.all", { count: list.total })}
        </button>`}
      </div>
    </div>`}
    ${labelling &&
    html`<${Labelling}
      busy=${busy}
      give=${(field, value) => alter("labels", { fields: { [field]: value } }, "select.labelled")}
    />`}
    <div class="told" role="status">
      ${told}
      ${told &&
      html`<button type="button" class="quiet" aria-label=${t("close")} onclick=${() => setTold(null)}>
        <${Icon} name="close" />
      </button>`}
    </div>
  </section>`;
}

/** Let the browser save a file of what is known of images. */
async function takeAlong(ids, format) {
  const json = { ids, format, address: location.origin };
  save(await askFile("POST", here("downloads"), { json }), `${short(app.collection.name, 60)}.${format}`);
}

/** Change all images of some ids: {changed, undo}, the ids of what undoes it. */
async function changeAll(what, ids, body) {
  const done = { changed: 0, undo: [] };
  for (let from = 0; from < ids.length; from += MOST_CHANGED) {
    const json = { ids: ids.slice(from, from + MOST_CHANGED), ...body };
    const answer = await ask("POST", here(what), { json });
    done.changed += answer.changed;
    if (answer.undo) done.undo.push(answer.undo.id);
  }
  return done;
}

/** Show what has become of a list. */
async function renewed(list) {
  await loadCollections();
  list.renew?.();
}

/** The form that gives all of them a value of a field. */
function Labelling({ busy, give }) {
  const [field, setField] = useState(labelField() ?? "label");
  const [typed, setTyped] = useState("");
  const known = useKnownValues(field);
  const [name, value] = [useId(), useId()];
  const input = useRef(null);
  // At once: keys that come before it would be the button's.
  useLayoutEffect(() => input.current.focus(), []);
  const send = (event) => {
    event.preventDefault();
    give(field, valueOf(typed, known));
  };
  return html`<form class="actions labelling" onsubmit=${send}>
    <label for=${name}>${t("select.field")}</label>
    <${Combobox}
      id=${name}
      values=${app.collection.fields}
      required
      value=${field}
      oninput=${(event) => setField(event.currentTarget.value)}
    />
    <label for=${value}>${t("select.value")}</label>
    <${Combobox}
      box=${input}
      id=${value}
      values=${known}
      required
      value=${typed}
      oninput=${(event) => setTyped(event.currentTarget.value)}
    />
    <button class="primary" disabled=${busy}>${t("select.give")}</button>
  </form>`;
}
