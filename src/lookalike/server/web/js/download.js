// Files that the visitor takes along.

import { Icon } from "./icons.js";
import { t } from "./language.js";
import { html } from "./view.js";

/** A link to a list as a file for a spreadsheet. */
export function DownloadLink({ href, label = t("download.csv") }) {
  return html`<a class="button quiet" href=${href} download><${Icon} name="download" />${label}</a>`;
}

/** Let the browser save what an address of this page holds, under a name. */
export function save(blob, name) {
  const href = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement("a"), { href, download: name });
  link.click();
  // What is being saved needs its address for a moment.
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
