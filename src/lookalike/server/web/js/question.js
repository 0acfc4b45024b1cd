// What is searched for, as it stands in the address, and as the server takes it.
//
// q: words, in which + and - standing alone are signs; p: a picture with its sign, an image's id or a file of
// the visitor, and before it [left,top,right,bottom] where a part of it is meant; f: filters as JSON; k, hybrid, cutoff, near: the options.

import { heldFile, isFile } from "./files.js";

/** Images that one question may be made of: MOST_TERMS of the server. */
export const MOST_TERMS = 32;

/** Results a page that may be chosen, and the one that is taken where none was. */
export const PAGES = [12, 24, 48, 96];
export const PAGE = 24;

/** Return the words of a text as terms: "red car - at night" is one that is added and one that is taken away. */
function wordTerms(text) {
  const terms = [];
  let sign = 1;
  let words = [];
  const end = () => {
    if (words.length) terms.push({ text: words.join(" "), sign });
    words = [];
  };
  for (const word of text.trim().split(/\s+/).filter(Boolean)) {
    if (word === "+" || word === "-" || word === "−") {
      end();
      sign = word === "+" ? 1 : -1;
    } else words.push(word);
  }
  end();
  return terms;
}

const PART = /^\[([\d.]+),([\d.]+),([\d.]+),([\d.]+)\]/;

/** Return the pictures of a question: {sign, reference} of each, and the part of it where it is not all. */
export function pictureTerms(params) {
  return params.getAll("p").map((each) => {
    const sign = each.startsWith("-") ? -1 : 1;
    const found = PART.exec(each.slice(1));
    if (!found) return { sign, reference: each.slice(1) };
    const [left, top, right, bottom] = found.slice(1).map(Number);
    return { sign, reference: each.slice(1 + found[0].length), part: { left, top, right, bottom } };
  });
}

/** Return a picture of a question as it stands in the address: the sign, the part if it is not all, which picture. */
export function partTerm(sign, part, reference) {
  const sides = part && [part.left, part.top, part.right, part.bottom].map((each) => +each.toFixed(4));
  return `${sign}${sides ? `[${sides}]` : ""}${reference}`;
}

/** Return the filters of a question: an object of fields with the values that each may have. */
export function filtersOf(params) {
  try {
    const found = JSON.parse(params.get("f") ?? "{}");
    return found && typeof found === "object" && !Array.isArray(found) ? found : {};
  } catch {
    return {};
  }
}

/** Return filters as they stand in the address; null where there are none. */
export function filtersText(where) {
  const used = Object.fromEntries(Object.entries(where).filter(([, values]) => values.length));
  return Object.keys(used).length ? JSON.stringify(used) : null;
}

/** Return the results a page. */
export function pageOf(params) {
  const asked = Number(params.get("k"));
  return PAGES.includes(asked) ? asked : PAGE;
}

/** Return whether anything is asked. */
export function isAsked(params) {
  return params.has("p") || wordTerms(params.get("q") ?? "").length > 0;
}

/** Return whether a picture of the question is forgotten: it was in this page's memory before a reload. */
export function isForgotten(params) {
  return pictureTerms(params).some(({ reference }) => isFile(reference) && !heldFile(reference));
}

/**
 * Return the body of a request: {json} or {form}.
 * @param params of the address
 * @param offset hits to pass over
 */
export function bodyOf(params, offset) {
  const files = [];
  const pictures = pictureTerms(params).map(({ sign, reference, part }) => ({
    ...(isFile(reference) ? { image: files.push(heldFile(reference).file) - 1 } : { id: reference }),
    sign,
    // From the left, from the top, width and height.
    ...(part && { part: [part.left, part.top, part.right - part.left, part.bottom - part.top] }),
  }));
  const words = wordTerms(params.get("q") ?? "");
  const query = {
    terms: [...pictures, ...words],
    k: pageOf(params),
    offset,
    where: filtersOf(params),
  };
  if (params.has("hybrid") && words.length) query.hybrid = true;
  if (params.has("near")) query.approximate = true;
  if (params.has("cutoff")) query.min_similarity = "auto";
  if (!files.length) return { json: query };
  const form = new FormData();
  form.append("query", JSON.stringify(query));
  for (const file of files) form.append("image", file, file.name || "pasted");
  return { form };
}
