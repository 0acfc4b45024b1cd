// Layers over a picture, such as maps of what is odd in it, each switched on and off by a button and a key.

import { el, icon, put } from "./dom.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { html, useCallback, useState } from "./view.js";

/**
 * Return the buttons of a picture's layers, and what lays one over it.
 * @param subject the frame of the picture, or an element with it
 * @returns {buttons, add}: add takes {url, key, name, shown}: a drawing of the whole picture, the letter that
 *   switches it, what the button says, and whether it is on at first
 */
export function layersOver(subject) {
  const buttons = el("div", { class: "actions" });
  const frame = subject.matches(".picture") ? subject : subject.querySelector(".picture");
  const all = [];
  const show = (chosen) => {
    for (const { layer, button } of all) {
      layer.hidden = layer !== chosen;
      button.setAttribute("aria-pressed", String(layer === chosen));
    }
  };
  const add = ({ url, key, name, shown }) => {
    const layer = el("img", { class: "layer", src: url, alt: "", draggable: "false", hidden: true });
    const button = el(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "false",
        "aria-keyshortcuts": key,
        title: t("layer.key", { key: key.toUpperCase() }),
        onclick: () => show(layer.hidden ? layer : null),
      },
      icon("layers"),
      name,
    );
    all.push({ layer, button });
    put(frame, layer);
    put(buttons, button);
    if (shown) show(layer);
  };
  return { buttons, add };
}

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
