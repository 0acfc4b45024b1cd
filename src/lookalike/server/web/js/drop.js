// Pictures that the visitor drops, pastes or picks.

import { el, icon } from "./dom.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { html, useRef, useState, useListener } from "./view.js";

/** Return a button that lets the visitor pick pictures. */
export function pickButton(label, take, { several = true, kind = "", drawing = "picture" } = {}) {
  const input = el("input", {
    type: "file",
    accept: "image/*,.tif,.tiff,.heic,.heif,.avif,.jp2,.pgm,.ppm",
    multiple: several,
    class: "heard",
    tabindex: "-1",
    "aria-hidden": "true",
    onchange: () => {
      const files = [...input.files];
      input.value = "";
      if (files.length) take(files);
    },
  });
  const button = el(
    "button",
    { type: "button", class: kind, onclick: () => input.click() },
    icon(drawing),
    label,
  );
  return el("span", { class: "pick" }, button, input);
}

/**
 * Take pictures that are dropped or pasted anywhere on the page, while a view is shown.
 * @param take called with the files
 * @param signal ends it
 */
export function takeDropped(take, signal) {
  let depth = 0;
  const veil = el("div", { class: "veil", hidden: true }, el("p", {}, t("drop.here")));
  document.body.append(veil);
  signal.addEventListener("abort", () => veil.remove());
  const on = (name, act) => document.addEventListener(name, act, { signal });
  const brought = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const end = () => {
    depth = 0;
    veil.hidden = true;
  };
  on("dragenter", (event) => {
    if (!brought(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  on("dragleave", (event) => {
    if (!brought(event)) return;
    depth -= 1;
    if (depth <= 0) end();
  });
  on("dragover", (event) => {
    if (brought(event)) event.preventDefault();
  });
  on("drop", (event) => {
    if (!brought(event)) return;
    event.preventDefault();
    end();
    const files = [...event.dataTransfer.files];
    if (files.length && !document.querySelector("dialog[open]")) take(files);
  });
  on("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    take(files);
  });
}

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
