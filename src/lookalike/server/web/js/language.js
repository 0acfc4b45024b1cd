// The language of the page: texts, numbers and dates.

import { en } from "./messages/en.js";
import { ko } from "./messages/ko.js";

const MESSAGES = { en, ko };
const KEPT = "lookalike.language";

/** The languages there are, each by its own name. */
export const LANGUAGES = { en: "English", ko: "한국어" };

let current = chosen();

function chosen() {
  const kept = remembered(KEPT);
  if (kept in MESSAGES) return kept;
  const wanted = (navigator.languages ?? [navigator.language]).map((each) => each.slice(0, 2).toLowerCase());
  return wanted.find((each) => each in MESSAGES) ?? "en";
}

/** Return what was remembered under a name; null where nothing was, or where nothing may be kept. */
export function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Remember a text for the next visit, where that is allowed. */
export function remember(name, text) {
  try {
    localStorage.setItem(name, text);
  } catch {
    // A browser that keeps nothing asks again.
  }
}

/** Return the language that is spoken: "en" or "ko". */
export function language() {
  return current;
}

/** Speak another language from now on. */
export function speak(name) {
  current = name;
  remember(KEPT, name);
  document.documentElement.lang = name;
}

/**
 * Return a text in the language of the page.
 * @param key its name in the messages
 * @param values what stands in its braces; `count` chooses between singular and plural and is written as a number
 */
export function t(key, values = {}) {
  let text = MESSAGES[current][key];
  if (text === undefined) throw new Error(`no message ${key}`);
  if (typeof text === "object") text = text[new Intl.PluralRules(current).select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Write a number: 12,345. */
export function number(value, options = {}) {
  return new Intl.NumberFormat(current, options).format(value);
}

/** Write a number with so many digits after the point: 0.874. */
export function decimal(value, digits) {
  return number(value, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    // No "-0.000".
    signDisplay: "negative",
  });
}

/** Write a share from 0 to 1 as a percentage: 87.4 %. */
export function percent(value, digits = 1) {
  return number(value, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Write a moment, given as in RFC 3339, in the time of this machine. */
export function moment(text) {
  return new Intl.DateTimeFormat(current, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));
}

/** Write a duration in seconds. */
export function seconds(value) {
  const digits = value < 10 ? 2 : 0;
  return number(value, {
    style: "unit",
    unit: "second",
    unitDisplay: "short",
    maximumFractionDigits: digits,
  });
}

/** Write a number of bytes. */
export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let place = 0;
  while (value >= 1000 && place < units.length - 1) {
    value /= 1000;
    place += 1;
  }
  return number(value, {
    style: "unit",
    unit: units[place],
    // The short form of a byte is "byte", however many there are.
    unitDisplay: place ? "short" : "long",
    maximumFractionDigits: place ? 1 : 0,
  });
}
