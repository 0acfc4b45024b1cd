// The frame of what lies over the page.

import { Icon } from "./icons.js";
import { t } from "./language.js";
import { leave } from "./route.js";
import { html, useId, useLayoutEffect } from "./view.js";

/**
 * A dialog that the address opens. Escape, a click beside it and its button all take its parameter away: the address
 * is what decides. The focus is on all of it at first, so that a screen reader begins with its name.
 * @param place a ref to its element
 * @param over the parameter of the address
 * @param title what it is called
 * @param buttons what stands beside its button that closes it
 * @param closed called when it goes
 * @param onkeydown of its element
 */
export function Dialog({ place, over, title, buttons = null, closed = () => {}, onkeydown, children }) {
  const heading = useId();
  useLayoutEffect(() => {
    place.current.showModal();
    return () => {
      place.current?.close();
      closed();
    };
  }, []);
  return html`<dialog
    class="details"
    ref=${place}
    tabindex="-1"
    autofocus
    aria-labelledby=${heading}
    oncancel=${(event) => {
      event.preventDefault();
      leave(over);
    }}
    onclick=${(event) => event.target === place.current && leave(over)}
    onkeydown=${onkeydown}
  >
    <div class="inside">
      <div class="head">
        <h2 id=${heading} dir="auto">${title}</h2>
        <div class="together">
          ${buttons}
          <button type="button" class="quiet" aria-label=${t("close")} onclick=${() => leave(over)}>
            <${Icon} name="close" />
          </button>
        </div>
      </div>
      ${children}
    </div>
  </dialog>`;
}
