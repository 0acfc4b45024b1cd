// Putting the value of a field right.

import { ask } from "./api.js";
import { fieldValues, here, imageChanged, mayWrite } from "./app.js";
import { el, fill, fresh, icon } from "./dom.js";
import { t } from "./language.js";
import { announce, problemBox } from "./notices.js";
import { keyOf, shown, textOf, valueOf } from "./values.js";

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

/**
 * Return a form that gives an image another value of a field.
 * @param options id, field; value: what it has now; label: of the text box; quick: with buttons for the usual values;
 *   after: called when it was changed and when that was undone, with the details
 * @returns an element; for a visitor who may only read, one that says so
 */
export function corrector({ id, field, value, label, quick = false, after = () => {} }) {
  if (!mayWrite()) return el("p", { class: "soft" }, t("write.readonly"));
  const listed = fresh("values");
  const input = el("input", {
    type: "text",
    list: listed,
    id: fresh("correct"),
    required: true,
    autocomplete: "off",
    dir: "auto",
  });
  const list = el("datalist", { id: listed });
  const usual = el("span", { class: "actions" });
  const button = el("button", { class: "primary" }, t(value === null ? "correct.give" : "correct.do"));
  const told = el("div", { class: "told", role: "status" });
  let current = value;
  let known = [];
  fieldValues().then(
    (all) => {
      known = (all.get(field)?.values ?? []).map((each) => each.value);
      fill(
        list,
        known
          .filter((each) => keyOf(each) !== keyOf(current))
          .map((each) => el("option", { value: textOf(each) })),
      );
      if (quick) fill(usual, known.slice(0, QUICK).map(choice));
    },
    // Without the list the value can be typed all the same.
    () => {},
  );
  const set = async (next, done) => {
    const before = current;
    button.disabled = true;
    try {
      const details = await changeImage(id, { fields: { [field]: next } });
      current = details.fields[field] ?? null;
      done(before);
      after(details);
    } catch (error) {
      if (error.status === undefined) throw error;
      fill(told, problemBox(error));
    } finally {
      button.disabled = false;
    }
  };
  const corrected = (before) => {
    input.value = "";
    fill(
      told,
      el(
        "span",
        { class: "good" },
        icon("check"),
        ...(before === null ? [t("correct.given")] : around(t("correct.done"), shown(before, 60))),
      ),
      el(
        "button",
        { type: "button", class: "quiet", onclick: () => set(before, undone) },
        icon("undo"),
        t("correct.undo"),
      ),
    );
    announce(t("correct.said", { now: textOf(current).slice(0, 100), before: textOf(before).slice(0, 100) }));
  };
  const undone = () => {
    fill(told, el("span", {}, t("correct.undone")));
    announce(t("correct.undone"));
  };
  const give = (next) => {
    if (keyOf(next) === keyOf(current)) fill(told, el("span", {}, t("correct.same")));
    else set(next, corrected);
  };
  const choice = (each) => el("button", { type: "button", onclick: () => give(each) }, shown(each, 40));
  const send = (event) => {
    event.preventDefault();
    give(valueOf(input.value, known));
  };
  return el(
    "form",
    { class: "corrector", onsubmit: send },
    el("label", { for: input.id }, label ?? t("correct.label", { field })),
    quick && usual,
    el("span", { class: "together" }, input, button),
    list,
    told,
  );
}

/** Return a text with an element in the place of its {}. */
export function around(text, element) {
  const [before, after = ""] = text.split("{}");
  return [el("span", {}, before, element, after)];
}
