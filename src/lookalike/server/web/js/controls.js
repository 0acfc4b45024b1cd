// Controls with their labels: what the forms of the page are made of.

import { app } from "./app.js";
import { t } from "./language.js";
import { short, textOf } from "./values.js";
import { html, useId } from "./view.js";

/** A control with its label before it, and a unit after it; `children` is called with the id that it has to have. */
function Labelled({ label, unit, children }) {
  const id = useId();
  return html`<span class="choice"><label for=${id}>${label}</label>${children(id)}${unit}</span>`;
}

/**
 * A choice of one of several values.
 * @param label before it
 * @param options [value, text] of each
 * @param chosen the value that is chosen
 */
export function Select({ label, options, chosen = null, ...props }) {
  return html`<${Labelled} label=${label}>
    ${(id) => html`<select id=${id} ...${props}>
      ${options.map(
        ([value, text]) =>
          html`<option key=${value} value=${value} selected=${String(value) === String(chosen)}>${text}</option>`,
      )}
    </select>`}
  <//>`;
}

/**
 * A box to type in.
 * @param label before it
 * @param unit after it
 * @param chosen what stands in it at first
 * @param values that are offered, where there are such
 */
export function Input({ label, unit = null, chosen = "", values = null, ...props }) {
  const first = "value" in props ? {} : { defaultValue: chosen };
  return html`<${Labelled} label=${label} unit=${unit}>
    ${(id) =>
      values
        ? html`<${Combobox} id=${id} values=${values} ...${first} ...${props} />`
        : html`<input id=${id} autocomplete="off" ...${first} ...${props} />`}
  <//>`;
}

/** A box for a text: `values` are offered, and any other can be typed; `box` is a ref of it. */
export function Combobox({ values, box = null, ...props }) {
  const list = useId();
  return html`<input type="text" ref=${box} list=${list} dir="auto" autocomplete="off" ...${props} />
    <datalist id=${list}>${values.map((each) => html`<option value=${textOf(each)}></option>`)}</datalist>`;
}

/** A box for a share of a hundred, above 0 and below 100, which may stay empty. */
export function PercentInput(props) {
  return html`<${Input} type="number" min="0.1" max="99.9" step="any" unit="%" ...${props} />`;
}

/** A box to tick. */
export function Check({ label, ...props }) {
  return html`<label class="choice"><input type="checkbox" ...${props} />${label}</label>`;
}

/** Return the number of a hundredth that a form has under a name, as a share; undefined where it is empty. */
export function shareOf(data, name) {
  return data.get(name) ? Number(data.get(name)) / 100 : undefined;
}

/** Return the fields of the collection as options. */
export function fieldOptions() {
  return app.collection.fields.map((each) => [each, short(each, 80)]);
}

/** Return what may keep images together: a field, series as they are found, or nothing. */
export function groupOptions() {
  const series = app.collection.fields.includes("series") ? [] : [["series", t("judge.series")]];
  return [["", t("judge.nofield")], ...fieldOptions(), ...series];
}
