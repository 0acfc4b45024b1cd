// Filters: only images whose fields have one of the chosen values.

import { fieldValues, labelField, valuesRevision } from "./app.js";
import { Combobox } from "./controls.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { Answer } from "./notices.js";
import { keyOf, readings, short, Value } from "./values.js";
import { html, useAnswer, useId, useListener, useReducer, useState } from "./view.js";

/** Fields whose values are shown at first. */
const OPEN = 3;

/**
 * The panel in which values are chosen.
 * @param where the filters as they are: an object of fields with the values that each may have
 * @param choose called with the filters as they are to be
 */
export function Filters({ where, choose }) {
  const [, redraw] = useReducer((n) => n + 1, 0);
  useListener("image-changed", redraw);
  const answer = useAnswer(`values ${valuesRevision()}`, fieldValues);
  return html`<div>
    <${Answer} of=${{ ...answer, busy: answer.busy && !answer.answer }}>
      ${(values) => {
        const label = labelField();
        const fields = [...values.values()]
          .filter((each) => each.distinct > 0)
          .sort((a, b) => (b.field === label) - (a.field === label));
        if (!fields.length) return html`<p class="soft">${t("filter.none")}</p>`;
        return fields.map(
          (each, n) =>
            html`<${Field} key=${each.field} values=${each} opened=${n < OPEN} where=${where} choose=${choose} />`,
        );
      }}
    <//>
  </div>`;
}

function Field({ values: { field, distinct, values }, opened, where, choose }) {
  const chosen = where[field] ?? [];
  const take = (key, value) => (event) => {
    const others = chosen.filter((each) => keyOf(each) !== key);
    choose({ ...where, [field]: event.currentTarget.checked ? [...others, value] : others });
  };
  return html`<details class="filter" open=${opened}>
    <summary><bdi>${short(field, 80)}</bdi></summary>
    <fieldset>
      <legend class="heard">${t("filter.legend", { field: short(field, 80) })}</legend>
      <div class="choices">
        ${values.map(({ value, count }) => {
          const key = keyOf(value);
          return html`<label class="choice" key=${key}>
            <input
              type="checkbox"
              checked=${chosen.some((each) => keyOf(each) === key)}
              onchange=${take(key, value)}
            />
            <${Value} value=${value} longest=${60} />
            <span class="count">${t("count", { count })}</span>
          </label>`;
        })}
      </div>
      ${distinct > values.length &&
      html`<${Other} field=${field} distinct=${distinct} values=${values} where=${where} choose=${choose} />`}
    </fieldset>
  </details>`;
}

/** More values than are listed: type one. */
function Other({ field, distinct, values, where, choose }) {
  const name = useId();
  const [typed, setTyped] = useState("");
  const add = (event) => {
    event.preventDefault();
    if (!typed) return;
    const chosen = where[field] ?? [];
    const known = new Set(chosen.map(keyOf));
    setTyped("");
    choose({ ...where, [field]: [...chosen, ...readings(typed).filter((each) => !known.has(keyOf(each)))] });
  };
  return html`<form class="together" onsubmit=${add}>
    <label for=${name} class="heard">${t("filter.other", { field: short(field, 80) })}</label>
    <${Combobox}
      id=${name}
      values=${values.map(({ value }) => value)}
      value=${typed}
      placeholder=${t("filter.another")}
      oninput=${(event) => setTyped(event.currentTarget.value)}
    />
    <button>${t("filter.add")}</button>
    <p class="soft">${t("filter.more", { count: distinct })}</p>
  </form>`;
}

/** The chosen values as buttons that take them away. */
export function FilterChips({ where, choose }) {
  return html`<div class="chips">
    ${Object.entries(where).flatMap(([field, values]) =>
      values.map((value) => {
        const less = values.filter((each) => keyOf(each) !== keyOf(value));
        return html`<button
          type="button"
          class="chip"
          key=${`${field} ${keyOf(value)}`}
          onclick=${() => choose({ ...where, [field]: less })}
        >
          <span class="heard">${t("filter.remove")}</span>
          <bdi class="chip-field">${short(field, 40)}</bdi>
          <${Value} value=${value} longest=${40} />
          <${Icon} name="close" />
        </button>`;
      }),
    )}
  </div>`;
}
