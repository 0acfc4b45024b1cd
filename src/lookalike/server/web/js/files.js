// Pictures of the visitor that are asked about. They stay in this page's memory: a reload forgets them.

const held = new Map();

/** Keep a picture, and return the name that stands for it in the address. */
export function hold(file) {
  const random = crypto.getRandomValues(new Uint32Array(2));
  const reference = `file:${random[0].toString(36)}${random[1].toString(36)}`;
  held.set(reference, { file, url: URL.createObjectURL(file) });
  return reference;
}

/** Return the picture {file, url} that a name stands for; undefined where it is forgotten. */
export function heldFile(reference) {
  return held.get(reference);
}

/** Return whether a name stands for a picture of the visitor, and not for an image of the collection. */
export function isFile(reference) {
  return reference.startsWith("file:");
}
