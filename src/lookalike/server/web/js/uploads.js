// Pictures that are sent to the service to be kept in the collection.

import { ask } from "./api.js";
import { app, here, whyNoImages } from "./app.js";
import { bytes, t } from "./language.js";

/** Return why this visitor can add no pictures; null where they can. */
export function whyNoUploads() {
  return whyNoImages() ?? (app.service.uploads ? null : t("add.none"));
}

/**
 * Send a picture with its fields.
 * @returns {image}: what it is in the collection; or {said} or {skipped}: why not, in the page's or the server's words
 */
export async function upload(file, fields, signal) {
  const most = app.service.limits.bytes;
  if (file.size > most) return { said: t("add.toolarge", { most: bytes(most) }) };
  const form = new FormData();
  form.append("image", file, file.name || "pasted");
  form.append("fields", JSON.stringify(fields));
  try {
    const { images, skipped } = await ask("POST", here("images"), { form, signal });
    return images.length ? { image: images[0] } : { skipped: skipped[0]?.skipped ?? "" };
  } catch (error) {
    if (!error.status) throw error;
    return { skipped: error.message };
  }
}
