// Pictures that the visitor drops, pastes or picks.

import { Icon } from "./icons.js";
import { t } from "./language.js";
import { html, useRef, useState, useListener } from "./view.js";

/** A button that lets the visitor pick pictures; `take` is called with the files. */
export function PickButton({ label, take, several = true, kind = "", drawing = "picture" }) {
  const input = useRef(null);
  const taken = () => {
    const files = [...input.current.files];
    input.current.value = "";
    if (files.length) take(files);
  };
  return html`<span class="pick">
    <button type="button" class=${kind} onclick=${() => input.current.click()}><${Icon} name=${drawing} />${label}</button>
    <input
      ref=${input}
      type="file"
      class="heard"
      accept="image/*,.tif,.tiff,.heic,.heif,.avif,.jp2,.pgm,.ppm"
      multiple=${several}
      tabindex="-1"
      aria-hidden="true"
      onchange=${taken}
    />
  </span>`;
}

/** Takes pictures that are dropped or pasted anywhere on the page, as long as it is there. */
export function DropZone({ take }) {
  const depth = useRef(0);
  const [over, setOver] = useState(false);
  const brought = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const move = (by) => (event) => {
    if (by > 0 && !brought(event)) return;
    depth.current = Math.max(0, depth.current + by);
    setOver(depth.current > 0);
  };
  const received = (event, list) => {
    const files = [...(list ?? [])];
    if (!files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    take(files);
  };
  useListener("dragenter", move(1));
  useListener("dragleave", move(-1));
  useListener("dragover", (event) => brought(event) && event.preventDefault());
  useListener("drop", (event) => {
    if (!brought(event)) return;
    event.preventDefault();
    depth.current = 0;
    setOver(false);
    received(event, event.dataTransfer.files);
  });
  useListener("paste", (event) => received(event, event.clipboardData?.files));
  return over && html`<div class="veil"><p>${t("drop.here")}</p></div>`;
}
