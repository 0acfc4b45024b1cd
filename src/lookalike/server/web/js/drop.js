// Pictures that the visitor drops, pastes or picks.

import { el, icon } from "./dom.js";
import { t } from "./language.js";

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
