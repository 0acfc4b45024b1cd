// A picture that was asked about becomes an example: of a label that is known, or the first of a new class.

import { loadCollections } from "./app.js";
import { Combobox } from "./controls.js";
import { useKnownValues } from "./correcting.js";
import { heldFile } from "./files.js";
import { openImage } from "./hits.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { announce, ProblemBox, Said } from "./notices.js";
import { upload, whyNoUploads } from "./uploads.js";
import { short, valueOf } from "./values.js";
import { html, useId, useState } from "./view.js";

/** A form that adds a picture of the visitor with a label; nothing for who can add none. */
export function NewClass({ reference, by, found }) {
  const id = useId();
  const known = useKnownValues(by);
  const [typed, setTyped] = useState("");
  const [{ busy, image, told }, setState] = useState({ busy: false, image: null, told: null });
  if (whyNoUploads()) return null;
  const isNew = typed && !known.some((each) => String(each) === typed);
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true, image: null, told: null });
    try {
      const { image: added, said, skipped } = await upload(heldFile(reference).file, { [by]: valueOf(typed, known) });
      setState({ busy: false, image: added ?? null, told: said ?? (skipped && html`<${Said} text=${skipped} />`) });
      if (!added) return;
      announce(t("newclass.done"));
      await loadCollections();
    } catch (error) {
      setState({ busy: false, image: null, told: html`<${ProblemBox} error=${error} />` });
      if (error.status === undefined) throw error;
    }
  };
  if (image)
    return html`<p class="good">
      <${Icon} name="check" />${t("newclass.done")}
      <button type="button" class="link" onclick=${() => openImage(image.id)}>${t("newclass.open")}</button>
    </p>`;
  return html`<details open=${found.label === null}>
    <summary>${t("newclass.title")}</summary>
    <form class="corrector" onsubmit=${send}>
      <label for=${id}>${t("newclass.label", { field: short(by, 60) })}</label>
      <span class="together">
        <${Combobox}
          id=${id}
          values=${known}
          required
          value=${typed}
          oninput=${(event) => setTyped(event.currentTarget.value)}
        />
        <button disabled=${busy}><${Icon} name="plus" />${t(isNew ? "newclass.new" : "newclass.add")}</button>
      </span>
      ${told && html`<div class="told bad" role="status">${told}</div>`}
    </form>
  </details>`;
}
