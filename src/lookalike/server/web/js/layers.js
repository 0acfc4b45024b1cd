// Layers over a picture, such as maps of what is odd in it, each switched on and off by a button and a key.

import { Icon } from "./icons.js";
import { t } from "./language.js";
import { html, useCallback, useState } from "./view.js";

/**
 * The layers of a picture.
 * @returns {layers, shown, add, toggle}: add takes {url, key, name, shown}: a drawing of the whole picture, the
 *   letter that switches it, what its button says, and whether it is on at first
 */
export function useLayers() {
  const [state, setState] = useState({ layers: [], shown: null });
  const add = useCallback(
    (layer) =>
      setState((now) => ({
        layers: [...now.layers.filter((each) => each.key !== layer.key), layer],
        shown: layer.shown ? layer.key : now.shown,
      })),
    [],
  );
  const toggle = (key) => setState((now) => ({ ...now, shown: now.shown === key ? null : key }));
  return { ...state, add, toggle };
}

/** The layers themselves, as children of the picture that they lie over. */
export function Layers({ of: { layers, shown } }) {
  return layers.map(
    ({ url, key }) =>
      html`<img key=${key} class="layer" src=${url} alt="" draggable=${false} hidden=${shown !== key} />`,
  );
}

/** A button for each layer. */
export function LayerButtons({ of: { layers, shown, toggle } }) {
  return html`<div class="actions">
    ${layers.map(
      ({ key, name }) =>
        html`<button
          type="button"
          class="chip"
          key=${key}
          aria-pressed=${String(shown === key)}
          aria-keyshortcuts=${key}
          title=${t("layer.key", { key: key.toUpperCase() })}
          onclick=${() => toggle(key)}
        >
          <${Icon} name="layers" />${name}
        </button>`,
    )}
  </div>`;
}

/** Let the keys of layers work wherever the focus is in an answer, or in the details of an image. */
export function listenForLayers() {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea")) return;
    const place = event.target.closest(".prediction, dialog");
    const button = [...(place?.querySelectorAll("[aria-keyshortcuts]") ?? [])].find(
      (each) => each.getAttribute("aria-keyshortcuts") === event.key.toLowerCase(),
    );
    button?.click();
  });
}
