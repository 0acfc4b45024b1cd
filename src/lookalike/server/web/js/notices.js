// What the page says of what happens: to everyone by a box, to a screen reader by a live region.

import { t } from "./language.js";
import { short } from "./values.js";
import { html } from "./view.js";

/** Refusals of what was asked itself: the same again would be refused again. */
const FINAL = [400, 403, 404, 413, 415, 422];

/** Let a screen reader say a text when it has finished what it says. */
export function announce(text) {
  const region = document.getElementById("announcements");
  region.textContent = "";
  // The same text twice would not be said again without a moment between.
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}

function titleOf(status) {
  if (!status) return "problem.noserver";
  if (status === 403) return "problem.forbidden";
  if (status === 404) return "problem.missing";
  if (status === 503) return "problem.busy";
  return status >= 500 ? "problem.server" : "problem.refused";
}

/** A line of the server's own words, in the language of the page as far as the server speaks it. */
export function Said({ text, tag = "p", children }) {
  return html`<${tag} class="said" lang=${/[가-힣]/.test(text) ? "ko" : "en"} dir="auto">${short(text, 2000)}${children}<//>`;
}

/** A box that says what went wrong: `error` is a Problem; `again` tries once more, where that is of use. */
export function ProblemBox({ error, again = null }) {
  return html`<div class="notice bad" role="alert">
    <strong>${t(titleOf(error.status))}</strong>
    <${Said} text=${error.message} />
    ${again &&
    !FINAL.includes(error.status) &&
    html`<button type="button" onclick=${again}>${t("problem.again")}</button>`}
  </div>`;
}

/** A box with a remark. */
export function Remark({ kind = "", children }) {
  return html`<div class=${`notice ${kind}`}>${children}</div>`;
}

/** A line that says that something is under way. */
export function Waiting({ text = t("waiting") }) {
  return html`<p class="waiting"><span class="spinner" aria-hidden="true"></span>${text}</p>`;
}

/**
 * What was asked with `useAnswer`: a line while it is awaited, what went wrong, or what is shown of the answer.
 * @param of what `useAnswer` returned
 * @param children a function of the answer
 */
export function Answer({ of: { answer, error, busy, again }, wait = t("waiting"), children }) {
  if (busy) return html`<${Waiting} text=${wait} />`;
  if (error) return html`<${ProblemBox} error=${error} again=${again} />`;
  return answer === null ? null : children(answer);
}
