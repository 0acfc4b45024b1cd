// Pictures: small ones of the collection's images, and those that the visitor brought.

import { problemOf, send } from "./api.js";
import { here } from "./app.js";
import { heldFile, isFile } from "./files.js";
import { t } from "./language.js";
import { Said } from "./notices.js";
import { short } from "./values.js";
import { html, useEffect, useState } from "./view.js";

/** Widths that the server makes pictures of, in pixels. */
const SIZES = [64, 128, 256, 512];
/** The one that can be looked into, in pixels. */
const LARGE = 2048;

/** Return the address of a small picture of an image; `width` is that on the screen, in CSS pixels. */
export function thumbnail(id, width) {
  const wanted = width * Math.min(devicePixelRatio || 1, 2);
  const size = SIZES.find((each) => each >= wanted) ?? SIZES.at(-1);
  return `${here("images", id, "thumbnail")}?size=${size}`;
}

/** Return the address of a larger picture, where what is shown has as many pixels as there may be; null otherwise. */
export function larger(id, longest) {
  return longest >= SIZES.at(-1) ? `${here("images", id, "thumbnail")}?size=${LARGE}` : null;
}

/** Return the address of the file itself. */
export function original(id) {
  return here("images", id, "original");
}

/**
 * The picture of an image, or of a file of the visitor, in a frame that has its size from the start.
 * @param image with id and name, or null for a file
 * @param width in CSS pixels
 * @param reference of a file
 * @param alt what a screen reader says, by default the name
 * @param eager fetch it at once, and not only when it comes near the window
 * @param why say what the server says where there is none
 * @param children what lies over it
 */
export function Picture({ image, width = 160, reference = null, alt = null, eager = false, why = false, children }) {
  const file = reference && isFile(reference) ? heldFile(reference) : null;
  const name = alt ?? (file ? file.file.name : image.name);
  const address = file ? file.url : thumbnail(image.id, width);
  const [failed, setFailed] = useState(null);
  const missing = failed === address;
  return html`<span class="picture">
    ${missing
      ? html`<span class="missing">
          <span aria-hidden="true">${t("picture.none")}</span>
          <span class="heard">${t("picture.none")}: ${short(name, 200)}</span>
          ${why && !file && html`<${Reason} address=${address} />`}
        </span>`
      : html`<img
          key=${address}
          alt=${short(name, 200)}
          loading=${eager || file ? "eager" : "lazy"}
          decoding="async"
          draggable=${false}
          src=${address}
          onerror=${() => setFailed(address)}
        />`}
    ${children}
  </span>`;
}

/** Why the server gives no picture. */
function Reason({ address }) {
  const [text, setText] = useState(null);
  useEffect(() => {
    send("GET", address).then(
      async (response) => setText(response.ok ? null : (await problemOf(response)).message),
      () => setText(null),
    );
  }, [address]);
  return text && html`<${Said} text=${text} tag="span" />`;
}

/** A player of the film that an image is a frame of, at the moment of the frame. */
export function Player({ image }) {
  const [playable, setPlayable] = useState(true);
  return html`<div class="player">
    ${playable
      ? html`<video
          class="film"
          controls
          preload="metadata"
          aria-label=${short(image.name, 200)}
          src=${`${here("images", image.id, "film")}#t=${image.time}`}
          onerror=${() => setPlayable(false)}
        ></video>`
      : html`<p class="soft">${t("details.unplayable")}</p>`}
  </div>`;
}
