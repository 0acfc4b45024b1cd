// Putting the value of a field right.

import { ask } from "./api.js";
import { fieldValues, here, imageChanged, whyNoChanges } from "./app.js";
import { Combobox } from "./controls.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { announce, ProblemBox } from "./notices.js";
import { keyOf, textOf, Value, valueOf } from "./values.js";
import { html, useEffect, useId, useState } from "./view.js";

/** Usual values that have a button each. */
const QUICK = 6;

/**
 * Change an image: its fields, or what is confirmed.
 * @returns its details as they are now
 */
export async function changeImage(id, changes) {
  const details = await ask("PATCH", here("images", id), { json: changes });
  imageChanged(details);
  return details;
}

/** Return the usual values of a field, the most frequent first; none until they are known. */
export function useKnownValues(field) {
  const [known, setKnown] = useState([]);
  useEffect(() => {
    let here = true;
    fieldValues().then(
      (all) => here && setKnown((all.get(field)?.values ?? []).map((each) => each.value)),
      // Without the list a value can be typed all the same.
      () => {},
    );
    return () => {
      here = false;
    };
  }, [field]);
  return known;
}

/**
 * A form that gives an image another value of a field; for a visitor who may only read, a line that says so.
 * @param id of the image
 * @param field whose value it is
 * @param value what it has now
 * @param label of the text box
 * @param quick with buttons for the usual values
 * @param after called when it was changed and when that was undone, with the details
 */
export function Corrector({ id, field, value, label, quick = false, focus = false, after = () => {} }) {
  const [current, setCurrent] = useState(value);
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [told, setTold] = useState(null);
  const known = useKnownValues(field);
  const name = useId();
  const refused = whyNoChanges();
  if (refused) return html`<p class="soft">${refused}</p>`;
  const set = async (next, done) => {
    setBusy(true);
    try {
      const details = await changeImage(id, { fields: { [field]: next } });
      const now = details.fields[field] ?? null;
      setCurrent(now);
      done(current, now);
      after(details);
    } catch (error) {
      if (error.status === undefined) throw error;
      setTold(html`<${ProblemBox} error=${error} />`);
    } finally {
      setBusy(false);
    }
  };
  const corrected = (before, now) => {
    setTyped("");
    setTold(html`<span class="good">
        <${Icon} name="check" />
        ${before === null
          ? t("correct.given")
          : html`<${Around} text=${t("correct.done")}><${Value} value=${before} longest=${60} /><//>`}
      </span>
      <button type="button" class="quiet" onclick=${() => set(before, undone)}>
        <${Icon} name="undo" />${t("correct.undo")}
      </button>`);
    announce(t("correct.said", { now: textOf(now).slice(0, 100), before: textOf(before).slice(0, 100) }));
  };
  const undone = () => {
    setTold(html`<span>${t("correct.undone")}</span>`);
    announce(t("correct.undone"));
  };
  const give = (next) => {
    if (keyOf(next) === keyOf(current)) setTold(html`<span>${t("correct.same")}</span>`);
    else set(next, corrected);
  };
  const send = (event) => {
    event.preventDefault();
    give(valueOf(typed, known));
  };
  return html`<form class="corrector" onsubmit=${send}>
    <label for=${name}>${label ?? t("correct.label", { field })}</label>
    ${quick &&
    html`<span class="actions">
      ${known
        .slice(0, QUICK)
        .map(
          (each) =>
            html`<button type="button" onclick=${() => give(each)}><${Value} value=${each} longest=${40} /></button>`,
        )}
    </span>`}
    <span class="together">
      <${Combobox}
        box=${(input) => focus && typed === "" && !told && input?.focus()}
        id=${name}
        values=${known.filter((each) => keyOf(each) !== keyOf(current))}
        required
        value=${typed}
        oninput=${(event) => setTyped(event.currentTarget.value)}
      />
      <button class="primary" disabled=${busy}>${t(value === null ? "correct.give" : "correct.do")}</button>
    </span>
    <div class="told" role="status">${told}</div>
  </form>`;
}

/** A text with children in the place of its {}. */
export function Around({ text, children }) {
  const [before, after = ""] = text.split("{}");
  return html`<span>${before}${children}${after}</span>`;
}
