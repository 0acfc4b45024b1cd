// What can be done with the images that are chosen.

import { Icon } from "./icons.js";
import { t } from "./language.js";
import { announce } from "./notices.js";
import { change, go, read } from "./route.js";
import { html, useEffect } from "./view.js";

/** Images that one question may be made of: MOST_TERMS of the server. */
const MOST_TERMS = 32;
/** Images beside each other. */
const MOST_COMPARED = 6;

/** A bar at the bottom of the window while something is chosen. */
export function Chosen({ selection, list }) {
  const ids = [...selection.ids];
  const count = ids.length;
  useEffect(() => {
    if (count) announce(t("select.count", { count }));
  }, [count]);
  if (!count) return null;
  const like = () => {
    const params = new URLSearchParams(ids.slice(0, MOST_TERMS).map((id) => ["p", `+${id}`]));
    go({ collection: read().collection, view: "search", params });
  };
  return html`<section class="chosen" aria-label=${t("select.title")}>
    <strong>${t("select.count", { count })}</strong>
    <div class="actions">
      <button type="button" disabled=${count > MOST_TERMS} onclick=${like}>
        <${Icon} name="search" />${t("select.like")}
      </button>
      <button
        type="button"
        disabled=${count < 2 || count > MOST_COMPARED}
        onclick=${() => change({ compare: ids }, { over: true })}
      >
        <${Icon} name="beside" />${t("select.compare")}
      </button>
      ${count < list.total &&
      html`<button type="button" onclick=${() => list.ids(0, list.total).then(selection.only)}>
        ${t("select.all", { count: list.total })}
      </button>`}
      <button type="button" class="quiet" aria-label=${t("select.none")} title=${t("select.none")} onclick=${selection.clear}>
        <${Icon} name="close" />
      </button>
    </div>
  </section>`;
}
