// What all parts of the page share: the service, its collections, and what is known of the one that is open.

import { ask, at } from "./api.js";
import { remember, remembered, t } from "./language.js";
import { useListener, useState } from "./view.js";

/** The state of the page. */
export const app = {
  /** As GET /v1/service says. */
  service: null,
  /** As GET /v1/collections lists them. */
  collections: [],
  /** The one that is open; null where there is none. */
  collection: null,
};

let values = null;
let normal = null;
let revision = 0;

/** Fetch what the page has to know before it can show anything. */
export async function load() {
  app.service = await ask("GET", "/v1/service");
  await loadCollections();
}

/** Fetch the collections anew: images have come or gone. */
export async function loadCollections() {
  app.collections = (await ask("GET", "/v1/collections")).collections;
  forgetValues();
  normal = null;
  if (app.collection) open(app.collection.name);
  document.dispatchEvent(new Event("collections-changed"));
}

/** Open a collection by its name; another where there is none of that name. */
export function open(name) {
  const found = app.collections.find((each) => each.name === name) ?? app.collections[0] ?? null;
  if (found?.name !== app.collection?.name) {
    values = null;
    normal = null;
  }
  app.collection = found;
}

/** Return a path of the open collection. */
export function here(...parts) {
  return at(app.collection.name, ...parts);
}

/** Return whether this visitor may change things: make a collection, say. */
export function mayWrite() {
  return app.service.may === "write";
}

/** Return why this visitor can change and remove no image of the open collection; null where they can. */
export function whyNoChanges() {
  if (!mayWrite()) return t("write.readonly");
  return app.collection.writable ? null : t("write.table");
}

/** Return why this visitor can bring no image into the open collection; null where they can. */
export function whyNoImages() {
  if (!mayWrite()) return t("write.readonly");
  return app.collection.attached ? t("write.rows") : null;
}

/** Return whether the open collection has learned what is normal, so that pictures can be held against it. */
export function knowsNormal() {
  normal ??= ask("GET", here()).then(
    (answer) => answer.normal,
    (error) => {
      normal = null;
      throw error;
    },
  );
  return normal;
}

/** Return the values of the open collection's fields: a map from the field to {distinct, values}. */
export function fieldValues() {
  values ??= ask("GET", here("values")).then(
    (answer) => new Map(answer.fields.map((each) => [each.field, each])),
    (error) => {
      values = null;
      throw error;
    },
  );
  return values;
}

/** Forget the values: an image has another one now. */
function forgetValues() {
  values = null;
  revision += 1;
}

/** Return a number that is another when the values may be others. */
export function valuesRevision() {
  return revision;
}

/** Return the field that labels are taken from: the one that was chosen last, or the likeliest. */
export function labelField() {
  const { name, fields, fitted_by: fitted } = app.collection;
  const kept = remembered(`lookalike.by.${name}`);
  return (
    [kept, fitted, "label", "class", "category"].find((each) => fields.includes(each)) ?? fields[0] ?? null
  );
}

/** Remember the field that labels are taken from. */
export function chooseLabelField(field) {
  remember(`lookalike.by.${app.collection.name}`, field);
}

/** Return an image as it was given, or as it is since it was changed while a component shows it. */
export function useLatest(image) {
  const [changed, setChanged] = useState(image);
  useListener("image-changed", ({ detail }) => detail.id === image.id && setChanged({ ...image, ...detail }));
  return changed.id === image.id ? changed : image;
}

/** Tell all that show an image that it has changed; each takes what it needs. */
export function imageChanged(details) {
  forgetValues();
  document.dispatchEvent(new CustomEvent("image-changed", { detail: details }));
}
