// Filters: only images whose fields have one of the chosen values.

import { fieldValues, labelField } from "./app.js";
import { el, fill, fresh, icon } from "./dom.js";
import { t } from "./language.js";
import { report } from "./notices.js";
import { keyOf, readings, short, shown, textOf } from "./values.js";

const OPEN = 3;

/**
 * Return the panel in which values are chosen.
 * @param chosen called for the filters as they are: an object of fields with their values
 * @param choose called with the filters as they are to be
 */
export function filterPanel(chosen, choose) {
  const place = el("div", { class: "filter-fields" }, el("p", { class: "soft" }, t("waiting")));
  const check = () => {
    for (const each of place.querySelectorAll("input[type=checkbox]")) {
      const { field, key } = each.dataset;
      each.checked = (chosen()[field] ?? []).some((value) => keyOf(value) === key);
    }
  };
  let asked = false;
  const load = async () => {
    asked = true;
    try {
      const label = labelField();
      const fields = [...(await fieldValues()).values()]
        .filter((each) => each.distinct > 0)
        .sort((a, b) => (b.field === label) - (a.field === label));
      const shownFields = fields.map((each, n) => fieldset(each, n < OPEN, chosen, choose));
      fill(place, fields.length ? shownFields : el("p", { class: "soft" }, t("filter.none")));
      check();
    } catch (error) {
      report(place, error, load);
    }
  };
  // The values are asked for when they are first of use.
  const refresh = () => (asked ? check() : load());
  return { place, refresh };
}

function fieldset({ field, distinct, values }, opened, chosen, choose) {
  const boxes = values.map(({ value, count }) => box(field, value, count, chosen, choose));
  return el(
    "details",
    { class: "filter", open: opened },
    el("summary", {}, el("bdi", {}, short(field, 80))),
    el(
      "fieldset",
      {},
      el("legend", { class: "heard" }, t("filter.legend", { field: short(field, 80) })),
      el("div", { class: "choices" }, boxes),
      distinct > values.length && other(field, distinct, values, chosen, choose),
    ),
  );
}

function box(field, value, count, chosen, choose) {
  const key = keyOf(value);
  const input = el("input", {
    type: "checkbox",
    "data-field": field,
    "data-key": key,
    onchange: () => {
      const others = (chosen()[field] ?? []).filter((each) => keyOf(each) !== key);
      choose({ ...chosen(), [field]: input.checked ? [...others, value] : others });
    },
  });
  return el(
    "label",
    { class: "choice" },
    input,
    shown(value, 60),
    el("span", { class: "count" }, t("count", { count })),
  );
}

/** More values than are listed: type one. */
function other(field, distinct, values, chosen, choose) {
  const listed = fresh("values");
  const input = el("input", {
    type: "text",
    id: fresh("other"),
    list: listed,
    autocomplete: "off",
    dir: "auto",
  });
  const add = (event) => {
    event.preventDefault();
    if (!input.value) return;
    const known = new Set((chosen()[field] ?? []).map(keyOf));
    const added = readings(input.value).filter((each) => !known.has(keyOf(each)));
    input.value = "";
    choose({ ...chosen(), [field]: [...(chosen()[field] ?? []), ...added] });
  };
  return el(
    "form",
    { class: "together", onsubmit: add },
    el("label", { for: input.id, class: "heard" }, t("filter.other", { field: short(field, 80) })),
    input,
    el(
      "datalist",
      { id: listed },
      values.map(({ value }) => el("option", { value: textOf(value) })),
    ),
    el("button", {}, t("filter.add")),
    el("p", { class: "soft" }, t("filter.more", { count: distinct })),
  );
}

/** Return the chosen values as buttons that take them away. */
export function filterChips(where, choose) {
  return Object.entries(where).flatMap(([field, values]) =>
    values.map((value) => {
      const less = values.filter((each) => keyOf(each) !== keyOf(value));
      return el(
        "button",
        { type: "button", class: "chip", onclick: () => choose({ ...where, [field]: less }) },
        el("span", { class: "heard" }, t("filter.remove")),
        el("bdi", { class: "chip-field" }, short(field, 40)),
        shown(value, 40),
        icon("close"),
      );
    }),
  );
}
