// Controls with their labels: what the forms of the page are made of.

import { app } from "./app.js";
import { t } from "./language.js";
import { short } from "./values.js";
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

/** A box to type in: `chosen` is what stands in it at first, `unit` what stands after it. */
export function Input({ label, unit = null, chosen = "", ...props }) {
  const first = "value" in props ? {} : { defaultValue: chosen };
  return html`<${Labelled} label=${label} unit=${unit}>
    ${(id) => html`<input id=${id} autocomplete="off" ...${first} ...${props} />`}
  <//>`;
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
