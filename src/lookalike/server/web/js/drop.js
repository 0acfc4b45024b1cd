// Pictures that the visitor drops, pastes or picks.

import { Icon } from "./icons.js";
import { t } from "./language.js";
import { announce } from "./notices.js";
import { html, useRef, useState, useListener } from "./view.js";

/** What may be a picture: by its type, or, where a browser knows none, by its name. */
const PICTURES = "image/*,.tif,.tiff,.heic,.heif,.avif,.jp2,.pgm,.ppm";
const NAMED = new Set(PICTURES.split(",").filter((each) => each.startsWith(".")));
/** Milliseconds that a line over the page is read for. */
const READ = 3000;

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
      accept=${PICTURES}
      multiple=${several}
      tabindex="-1"
      aria-hidden="true"
      onchange=${taken}
    />
  </span>`;
}

function mayBePicture({ name, type }) {
  return type.startsWith("image/") || NAMED.has(/\.[^.]*$/.exec(name.toLowerCase())?.[0]);
}

/** Return the files that were brought, and of folders the pictures that are in them, at any depth. */
async function filesOf(transfer) {
  // What was brought can be asked for only until the first wait.
  const brought = [...transfer.items].filter((each) => each.kind === "file");
  const found = brought.map((item) => {
    const entry = item.webkitGetAsEntry();
    return entry?.isDirectory ? picturesBelow(entry) : [item.getAsFile()];
  });
  return (await Promise.all(found)).flat();
}

async function picturesBelow(folder) {
  const reader = folder.createReader();
  const entries = [];
  // A reader gives some at a time, and at the end none.
  for (let some; some?.length !== 0; entries.push(...some))
    some = await new Promise((take, refuse) => reader.readEntries(take, refuse));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const found = [];
  for (const each of entries) {
    if (each.isDirectory) found.push(...(await picturesBelow(each)));
    else found.push(await new Promise((take, refuse) => each.file(take, refuse)));
  }
  return found.filter(mayBePicture);
}

/** Takes pictures that are dropped or pasted anywhere on the page, as long as it is there. */
export function DropZone({ take }) {
  const depth = useRef(0);
  const [over, setOver] = useState(false);
  const [told, setTold] = useState(null);
  const brought = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const move = (by) => (event) => {
    if (by > 0 && !brought(event)) return;
    depth.current = Math.max(0, depth.current + by);
    setOver(depth.current > 0);
  };
  const received = async (event, transfer) => {
    if (!transfer?.files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    const files = await filesOf(transfer).catch((error) => {
      // Of a folder that may not be read, or that is gone.
      if (!(error instanceof DOMException)) throw error;
      return [];
    });
    if (files.length) return take(files);
    setTold(t("drop.none"));
    announce(t("drop.none"));
    setTimeout(() => setTold(null), READ);
  };
  useListener("dragenter", move(1));
  useListener("dragleave", move(-1));
  useListener("dragover", (event) => brought(event) && event.preventDefault());
  useListener("drop", (event) => {
    if (!brought(event)) return;
    event.preventDefault();
    depth.current = 0;
    setOver(false);
    received(event, event.dataTransfer);
  });
  useListener("paste", (event) => received(event, event.clipboardData));
  return (over || told) && html`<div class="veil"><p>${over ? t("drop.here") : told}</p></div>`;
}
