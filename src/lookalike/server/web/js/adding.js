// Adding pictures to a collection, each with the same fields: a value that is new makes a new class.

import { givenUp } from "./api.js";
import { app, fieldValues, labelField } from "./app.js";
import { Combobox } from "./controls.js";
import { DropZone, PickButton } from "./drop.js";
import { openImage } from "./hits.js";
import { Icon } from "./icons.js";
import { bytes, t } from "./language.js";
import { announce, Said } from "./notices.js";
import { upload, whyNoUploads } from "./uploads.js";
import { short, valueOf } from "./values.js";
import { html, useAnswer, useRef, useSignal, useState } from "./view.js";

/** Pictures that are on their way at once. */
const AT_ONCE = 2;

/** The section in which pictures are added; `changed` is called when some were. */
export function Adding({ changed }) {
  const refused = whyNoUploads();
  return html`<section class="box">
    <h2>${t("add.title")}</h2>
    ${refused ? html`<p class="soft">${refused}</p>` : html`<${Form} changed=${changed} />`}
  </section>`;
}

function Form({ changed }) {
  const [rows, setRows] = useState([{ field: labelField() ?? "", value: "" }]);
  const known = useAnswer("values", fieldValues).answer;
  const valuesOf = (field) => (known?.get(field)?.values ?? []).map((each) => each.value);
  const given = () =>
    Object.fromEntries(
      rows
        .filter(({ field, value }) => field && value)
        .map(({ field, value }) => [field, valueOf(value, valuesOf(field))]),
    );
  const { uploads, take } = useUploads(given, changed);
  const over = uploads.filter((each) => each.result).length;
  const added = uploads.filter((each) => each.result?.image).length;
  return html`<p class="soft">${t("add.what")}</p>
    <${Fields} rows=${rows} setRows=${setRows} valuesOf=${valuesOf} />
    <div class="asker-row"><${PickButton} label=${t("add.pick")} take=${take} kind="primary" drawing="plus" /></div>
    <p class="status">${uploads.length > 0 && t("add.status", { over, all: uploads.length, added })}</p>
    <ul class="uploads plain" role="list">
      ${uploads.map((each) => html`<${Upload} key=${each.key} of=${each} />`)}
    </ul>
    <${DropZone} take=${take} />`;
}

/** Pictures on their way, the latest first: {uploads, take}. */
function useUploads(given, changed) {
  const [uploads, setUploads] = useState([]);
  const queue = useRef([]);
  const count = useRef({ all: 0, over: 0, added: 0, busy: 0 });
  const signal = useSignal();
  const tell = (key, changes) =>
    setUploads((all) => all.map((each) => (each.key === key ? { ...each, ...changes } : each)));
  const next = async () => {
    const now = count.current;
    if (!queue.current.length || now.busy >= AT_ONCE) return;
    const { key, file, fields } = queue.current.shift();
    now.busy += 1;
    tell(key, { sending: true });
    const result = await upload(file, fields, signal).catch((error) => {
      if (givenUp(error) || error.status === 0) return { said: error.message };
      throw error;
    });
    if (signal.aborted) return;
    now.busy -= 1;
    now.over += 1;
    now.added += result.image ? 1 : 0;
    tell(key, { result });
    if (now.over === now.all) {
      announce(t("add.status", now));
      await changed();
    }
    next();
  };
  const take = (files) => {
    const fields = given();
    const more = files.map((file) => ({ key: (count.current.all += 1), file, fields }));
    queue.current.push(...more);
    setUploads((all) => [...more.reverse(), ...all]);
    for (let n = 0; n < AT_ONCE; n += 1) next();
  };
  return { uploads, take };
}

function Upload({ of: { file, sending, result } }) {
  const bad = (children) => html`<span class="bad">${children}</span>`;
  const state = () => {
    if (!result) return t(sending ? "add.sending" : "add.waiting");
    if (result.said) return bad(result.said);
    if (!result.image) return bad(html`${t("add.skipped")} <${Said} text=${result.skipped} tag="span" />`);
    return html`<button type="button" class="link good" onclick=${() => openImage(result.image.id)}>
      <${Icon} name="check" />${t("add.done")}
    </button>`;
  };
  return html`<li>
    <bdi class="name">${short(file.name || "pasted", 120)}</bdi>
    <span class="soft">${bytes(file.size)}</span>
    <span class="upload-state soft">${state()}</span>
  </li>`;
}

/** The fields that every added picture gets. */
function Fields({ rows, setRows, valuesOf }) {
  const put = (place, changes) => setRows(rows.map((each, n) => (n === place ? { ...each, ...changes } : each)));
  const box = (place, name, values) => html`<${Combobox}
    values=${values}
    value=${rows[place][name]}
    aria-label=${t(`add.${name}`)}
    placeholder=${t(`add.${name}`)}
    oninput=${(event) => put(place, { [name]: event.currentTarget.value })}
  />`;
  const label = rows.find((each) => each.field && each.field === labelField());
  const isNew = label?.value && !valuesOf(label.field).some((each) => String(each) === label.value);
  return html`<fieldset>
    <legend>${t("add.fields")}</legend>
    <div class="field-rows">
      ${rows.map(
        ({ field }, place) => html`<div class="together" key=${place}>
          ${box(place, "field", app.collection.fields)} ${box(place, "value", valuesOf(field))}
          <button
            type="button"
            class="quiet"
            aria-label=${t("add.remove")}
            onclick=${() => setRows(rows.filter((_, n) => n !== place))}
          >
            <${Icon} name="close" />
          </button>
        </div>`,
      )}
    </div>
    ${isNew && html`<p class="soft">${t("add.newclass", { label: short(label.value, 60) })}</p>`}
    <button type="button" class="quiet" onclick=${() => setRows([...rows, { field: "", value: "" }])}>
      <${Icon} name="plus" />${t("add.another")}
    </button>
  </fieldset>`;
}
