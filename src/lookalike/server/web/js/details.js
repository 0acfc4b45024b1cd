// One image over the page, with a way to the next of its list.

import { ask } from "./api.js";
import { here } from "./app.js";
import { Dialog } from "./dialog.js";
import { heldFile, isFile } from "./files.js";
import { Icon } from "./icons.js";
import { About, AboutFile } from "./image.js";
import { t } from "./language.js";
import { Answer } from "./notices.js";
import { change } from "./route.js";
import { beside, hasBeside, reveal } from "./sequence.js";
import { short } from "./values.js";
import { html, useAnswer, useLayoutEffect, useRef } from "./view.js";

/** The dialog of the image that the address names; `id` is that of an image, or a file of the visitor. */
export function Details({ id }) {
  const dialog = useRef(null);
  const file = isFile(id) ? heldFile(id) : null;
  const answer = useAnswer(isFile(id) ? null : id, (signal) => ask("GET", here("images", id), { signal }));
  const last = useRef(id);
  last.current = id;
  // The browser gives the focus back to what had it before; the image that was looked at last is better.
  const closed = () => reveal(last.current);
  // The button at the end of the list is gone, and the keys are to go on.
  useLayoutEffect(() => {
    const focused = document.activeElement;
    if (!dialog.current.contains(focused) || focused.hidden) dialog.current.focus();
  }, [id]);
  const turn = async (step) => {
    const next = hasBeside(id, step) ? await beside(id, step) : null;
    if (next) change({ image: next }, { replace: true });
  };
  const keyed = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const typing = event.target.closest("input, select, textarea, pre, video");
    if (!step || typing || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    turn(step);
  };
  const button = (step) => {
    const label = t(step < 0 ? "details.before" : "details.after");
    return html`<button
      type="button"
      class="quiet"
      aria-label=${label}
      title=${label}
      hidden=${!hasBeside(id, step)}
      onclick=${() => turn(step)}
    >
      <${Icon} name=${step < 0 ? "before" : "after"} />
    </button>`;
  };
  const name = file?.file.name ?? (answer.busy ? null : answer.answer?.name);
  return html`<${Dialog}
    place=${dialog}
    over="image"
    title=${name ? short(name, 300) : t("details.title")}
    buttons=${[button(-1), button(1)]}
    closed=${closed}
    onkeydown=${keyed}
  >
    <div class="content">
      ${isFile(id)
        ? file && html`<${AboutFile} key=${id} reference=${id} />`
        : html`<${Answer} of=${answer}>${(image) => html`<${About} key=${image.id} image=${image} />`}<//>`}
    </div>
  <//>`;
}
