// Values of fields: true, 1 and "1" are three.

import { t } from "./language.js";
import { html } from "./view.js";

const LONGEST = 300;

/** Of a fraction, so many digits are shown; the others are in its title. */
const DIGITS = 6;

function isFraction(value) {
  return typeof value === "number" && !Number.isInteger(value);
}

/** Return what tells values apart. */
export function keyOf(value) {
  return JSON.stringify(value);
}

/** Return a value as a person reads it. */
export function textOf(value) {
  return value === null || value === undefined ? t("value.none") : String(value);
}

/** Return a text that is short enough for a row; the whole of it is in its details. */
export function short(text, longest = LONGEST) {
  const characters = Array.from(text.slice(0, 2 * longest + 2));
  return characters.length > longest ? `${characters.slice(0, longest - 1).join("")}…` : text;
}

/** A value: any script and direction, and no part of the text around it. */
export function Value({ value, longest = LONGEST }) {
  const whole = textOf(value);
  const text = isFraction(value) ? String(Number(value.toPrecision(DIGITS))) : short(whole, longest);
  return html`<bdi class="value" title=${text === whole ? null : short(whole, 2000)}>${text}</bdi>`;
}

/** The name of a file; it may be broken after each folder. */
export function FileName({ name, longest }) {
  const parts = short(name, longest).split("/");
  const broken = parts.map((part, n) => (n ? html`/<wbr />${part}` : part));
  return html`<bdi class="name" title=${short(name, 2000)}>${broken}</bdi>`;
}

/**
 * Return the value that a typed text stands for.
 * @param text as typed
 * @param known values that the field has, the most frequent first
 */
export function valueOf(text, known) {
  const same = known.find((each) => String(each) === text);
  if (same !== undefined) return same;
  const number = Number(text);
  const numbers = known.length > 0 && known.every((each) => typeof each === "number");
  return numbers && text.trim() !== "" && Number.isFinite(number) ? number : text;
}

/** Return all values that a typed text may stand for, for a filter: 3 and "3". */
export function readings(text) {
  const found = [text];
  if (text.trim() !== "" && Number.isFinite(Number(text))) found.push(Number(text));
  if (text === "true" || text === "false") found.push(text === "true");
  return found;
}
