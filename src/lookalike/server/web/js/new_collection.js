// Making a collection.

import { ask } from "./api.js";
import { loadCollections } from "./app.js";
import { Input, Select } from "./controls.js";
import { t } from "./language.js";
import { Answer, ProblemBox } from "./notices.js";
import { go } from "./route.js";
import { html, useAnswer, useState } from "./view.js";

/** A form that makes an empty collection, and goes to where a folder is indexed into it. */
export function NewCollection() {
  const models = useAnswer("embedders", (signal) => ask("GET", "/v1/embedders", { signal }));
  const [model, setModel] = useState(null);
  const [{ busy, error }, setState] = useState({ busy: false, error: null });
  const make = async (event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    setState({ busy: true, error: null });
    try {
      const made = await ask("POST", "/v1/collections", {
        json: { name: data.get("name").trim(), model: data.get("model") },
      });
      setState({ busy: false, error: null });
      await loadCollections();
      go({ collection: made.name, view: "index" });
    } catch (problem) {
      setState({ busy: false, error: problem });
      if (problem.status === undefined) throw problem;
    }
  };
  return html`<div class="stack">
    <p class="soft">${t("new.what")}</p>
    <${Answer} of=${models}>
      ${({ data }) => {
        const usable = data.filter((each) => !each.problem);
        const chosen = usable.find((each) => each.id === model) ?? usable[0];
        return html`<form class="asker-row" onsubmit=${make}>
            <${Input} label=${t("new.name")} name="name" type="text" required maxlength="64" dir="auto" />
            <${Select}
              label=${t("new.model")}
              name="model"
              options=${usable.map((each) => [each.id, each.id])}
              chosen=${chosen?.id}
              onchange=${(event) => setModel(event.currentTarget.value)}
            />
            <button class="primary" disabled=${busy}>${t("new.make")}</button>
          </form>
          ${chosen &&
          html`<p class="soft">
            ${t(chosen.capabilities.includes("texts") ? "new.texts" : "new.notexts")}
            ${chosen.summary && html` <span lang="en">${chosen.summary}</span>`}
          </p>`}`;
      }}
    <//>
    ${error && html`<${ProblemBox} error=${error} />`}
  </div>`;
}
