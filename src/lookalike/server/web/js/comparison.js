// Some images beside each other, and in which fields they differ.

import { ask } from "./api.js";
import { here } from "./app.js";
import { Dialog } from "./dialog.js";
import { t } from "./language.js";
import { Answer } from "./notices.js";
import { Picture } from "./pictures.js";
import { change } from "./route.js";
import { FileName, keyOf, short, Value } from "./values.js";
import { html, useAnswer, useRef } from "./view.js";

/** The dialog that compares images, by their ids. */
export function Comparison({ ids }) {
  const dialog = useRef(null);
  const answer = useAnswer(ids.join(" "), (signal) =>
    Promise.all(ids.map((id) => ask("GET", here("images", id), { signal }))),
  );
  return html`<${Dialog} place=${dialog} over="compare" title=${t("compare.title", { count: ids.length })}>
    <${Answer} of=${answer}>${(images) => html`<${Beside} images=${images} />`}<//>
  <//>`;
}

function Beside({ images }) {
  const fields = [...new Set(images.flatMap((each) => Object.keys(each.fields)))].sort();
  const differs = (field) => new Set(images.map((each) => keyOf(each.fields[field]))).size > 1;
  return html`<div class="scroller" tabindex="0" role="region" aria-label=${t("compare.table")}>
    <table class="beside">
      <thead>
        <tr>
          <td></td>
          ${images.map(
            (each) =>
              html`<th scope="col" key=${each.id}>
                <button type="button" class="bare" onclick=${() => change({ compare: null, image: each.id }, { over: "image" })}>
                  <${Picture} image=${each} width=${512} eager alt="" />
                  <${FileName} name=${each.name} longest=${120} />
                </button>
              </th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${fields.map(
          (field) =>
            html`<tr class=${differs(field) ? "differs" : ""}>
              <th scope="row">
                ${short(field, 60)}${differs(field) && html`<span class="tag note">${t("compare.differs")}</span>`}
              </th>
              ${images.map(
                (each) =>
                  html`<td>
                    ${field in each.fields
                      ? html`<${Value} value=${each.fields[field]} longest=${200} />`
                      : html`<span class="soft">${t("value.none")}</span>`}
                  </td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
