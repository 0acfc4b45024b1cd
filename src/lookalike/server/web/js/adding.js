// Adding pictures to a collection, each with the same fields.

import { ask, givenUp } from "./api.js";
import { app, fieldValues, here, labelField, mayWrite } from "./app.js";
import { el, fill, fresh, icon } from "./dom.js";
import { pickButton, takeDropped } from "./drop.js";
import { openImage } from "./hits.js";
import { bytes, t } from "./language.js";
import { announce, said } from "./notices.js";
import { short, textOf, valueOf } from "./values.js";

/** Pictures that are on their way at once. */
const AT_ONCE = 2;

/**
 * Return the section in which pictures are added.
 * @param signal ends it
 * @param changed called when some were added
 */
export function addingSection(signal, changed) {
  const section = el("section", { class: "box" }, el("h2", {}, t("add.title")));
  if (!app.service.uploads) {
    section.append(el("p", { class: "soft" }, t("add.none")));
    return section;
  }
  if (!mayWrite()) {
    section.append(el("p", { class: "soft" }, t("write.readonly")));
    return section;
  }
  const fields = fieldRows();
  const list = el("ul", { class: "uploads plain", role: "list" });
  const total = el("p", { class: "status" });
  const count = { all: 0, over: 0, added: 0 };
  const queue = [];
  let busy = 0;
  const tell = () => {
    total.textContent = count.all
      ? t("add.status", { over: count.over, all: count.all, added: count.added })
      : "";
  };
  const next = async () => {
    if (!queue.length || busy >= AT_ONCE) return;
    busy += 1;
    const { file, given, row } = queue.shift();
    const added = await send(file, given, row, signal);
    count.added += added;
    count.over += 1;
    busy -= 1;
    tell();
    if (signal.aborted) return;
    if (count.over === count.all) {
      announce(total.textContent);
      await changed();
    }
    next();
  };
  const take = (files) => {
    const given = fields.given();
    for (const file of files) {
      const row = uploadRow(file);
      list.prepend(row.place);
      queue.push({ file, given, row });
      count.all += 1;
    }
    tell();
    for (let n = 0; n < AT_ONCE; n += 1) next();
  };
  takeDropped(take, signal);
  section.append(
    el("p", { class: "soft" }, t("add.what")),
    fields.place,
    el("div", { class: "asker-row" }, pickButton(t("add.pick"), take, { kind: "primary", drawing: "plus" })),
    total,
    list,
  );
  return section;
}

/** The fields that every added picture gets. */
function fieldRows() {
  const names = fresh("fields");
  const rows = el("div", { class: "field-rows" });
  const known = new Map();
  fieldValues().then(
    (all) =>
      all.forEach((each, name) =>
        known.set(
          name,
          each.values.map(({ value }) => value),
        ),
      ),
    // Without the lists everything can be typed all the same.
    () => {},
  );
  const add = (name = "") => {
    const listed = fresh("values");
    const values = el("datalist", { id: listed });
    const field = el("input", {
      type: "text",
      list: names,
      value: name,
      dir: "auto",
      autocomplete: "off",
      "aria-label": t("add.field"),
      placeholder: t("add.field"),
    });
    const value = el("input", {
      type: "text",
      list: listed,
      dir: "auto",
      autocomplete: "off",
      "aria-label": t("add.value"),
      placeholder: t("add.value"),
      onfocus: () =>
        fill(
          values,
          (known.get(field.value) ?? []).map((each) => el("option", { value: textOf(each) })),
        ),
    });
    const row = el(
      "div",
      { class: "together" },
      field,
      value,
      values,
      el(
        "button",
        { type: "button", class: "quiet", "aria-label": t("add.remove"), onclick: () => row.remove() },
        icon("close"),
      ),
    );
    rows.append(row);
  };
  add(labelField() ?? "");
  const given = () =>
    Object.fromEntries(
      [...rows.children]
        .map((row) => [...row.querySelectorAll("input")].map((each) => each.value))
        .filter(([name, value]) => name && value)
        .map(([name, value]) => [name, valueOf(value, known.get(name) ?? [])]),
    );
  const place = el(
    "fieldset",
    {},
    el("legend", {}, t("add.fields")),
    el(
      "datalist",
      { id: names },
      app.collection.fields.map((each) => el("option", { value: each })),
    ),
    rows,
    el("button", { type: "button", class: "quiet", onclick: () => add() }, icon("plus"), t("add.another")),
  );
  return { place, given };
}

function uploadRow(file) {
  const state = el("span", { class: "upload-state soft" }, t("add.waiting"));
  const place = el(
    "li",
    {},
    el("bdi", { class: "name" }, short(file.name || "pasted", 120)),
    el("span", { class: "soft" }, bytes(file.size)),
    state,
  );
  return { place, say: (...children) => fill(state, ...children) };
}

/** Send one picture; returns 1 where it was added, else 0. */
async function send(file, given, row, signal) {
  const most = app.service.limits.bytes;
  if (file.size > most) {
    row.say(el("span", { class: "bad" }, t("add.toolarge", { most: bytes(most) })));
    return 0;
  }
  row.say(t("add.sending"));
  const form = new FormData();
  form.append("image", file, file.name || "pasted");
  form.append("fields", JSON.stringify(given));
  try {
    const answer = await ask("POST", here("images"), { form, signal });
    const [image] = answer.images;
    if (image) {
      row.say(
        el(
          "button",
          { type: "button", class: "link good", onclick: () => openImage(image.id) },
          icon("check"),
          t("add.done"),
        ),
      );
      return 1;
    }
    row.say(
      el("span", { class: "bad" }, t("add.skipped"), " ", said(answer.skipped[0]?.skipped ?? "", "span")),
    );
  } catch (error) {
    if (givenUp(error)) return 0;
    if (error.status === undefined) throw error;
    row.say(el("span", { class: "bad" }, said(error.message, "span")));
  }
  return 0;
}
