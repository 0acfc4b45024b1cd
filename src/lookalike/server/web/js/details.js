// One image over the page, with a way to the next of its list.

import { ask, givenUp } from "./api.js";
import { here } from "./app.js";
import { el, fill, fresh, icon } from "./dom.js";
import { aboutImage } from "./image.js";
import { t } from "./language.js";
import { problemBox, waiting } from "./notices.js";
import { change, leave } from "./route.js";
import { short } from "./values.js";

let dialog = null;
let asked = null;

/** Show the image that the address names, or close what is shown. */
export function showDetails(id) {
  if (id === (dialog?.dataset.shows ?? null)) return;
  asked?.abort();
  if (!id) {
    close();
    return;
  }
  if (!dialog) open();
  dialog.dataset.shows = id;
  asked = new AbortController();
  load(id, asked.signal);
}

/** Return the card of an image in the page below. */
function cardOf(id) {
  return document.querySelector(`#main .card[data-image="${CSS.escape(id)}"]`);
}

/** Return the image before or after the one that is shown, in the list below; null where there is none. */
function beside(step) {
  const card = cardOf(dialog.dataset.shows);
  const other = step < 0 ? card?.previousElementSibling : card?.nextElementSibling;
  return other?.dataset.image ?? null;
}

function turn(step) {
  const id = beside(step);
  if (id) change({ image: id }, { replace: true });
}

function turnButton(step) {
  const label = t(step < 0 ? "details.before" : "details.after");
  const button = {
    type: "button",
    class: "quiet turn",
    "aria-label": label,
    title: label,
    "data-step": step,
  };
  return el("button", { ...button, onclick: () => turn(step) }, icon(step < 0 ? "before" : "after"));
}

function open() {
  const title = fresh("details");
  dialog = el(
    "dialog",
    {
      class: "details",
      // The focus is on all of it at first, so that a screen reader begins with its name.
      tabindex: "-1",
      autofocus: true,
      "aria-labelledby": title,
      // Escape goes the same way as the button: the address is what decides.
      oncancel: (event) => {
        event.preventDefault();
        leave("image");
      },
      onclick: (event) => event.target === dialog && leave("image"),
      onkeydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        const typing = event.target.closest("input, select, pre");
        if (!step || typing || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        turn(step);
      },
    },
    el(
      "div",
      { class: "inside" },
      el(
        "div",
        { class: "head" },
        el("h2", { id: title, dir: "auto" }, t("details.title")),
        el(
          "div",
          { class: "together" },
          turnButton(-1),
          turnButton(1),
          el(
            "button",
            { type: "button", class: "quiet", "aria-label": t("close"), onclick: () => leave("image") },
            icon("close"),
          ),
        ),
      ),
      el("div", { class: "content" }),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function close() {
  if (!dialog) return;
  const last = dialog.dataset.shows;
  // The browser gives the focus back to what had it before; the image that was looked at last is better.
  dialog.close();
  dialog.remove();
  dialog = null;
  cardOf(last)?.querySelector(".open").focus();
}

async function load(id, signal) {
  const content = dialog.querySelector(".content");
  for (const each of dialog.querySelectorAll(".turn")) each.hidden = !beside(Number(each.dataset.step));
  // The button at the end of the list is gone, and the keys are to go on.
  if (!dialog.contains(document.activeElement) || document.activeElement.hidden) dialog.focus();
  fill(content, waiting(t("waiting")));
  try {
    const image = await ask("GET", here("images", id), { signal });
    fill(dialog.querySelector("h2"), short(image.name, 300));
    fill(content, ...aboutImage(image, signal));
  } catch (error) {
    if (givenUp(error)) return;
    if (error.status === undefined) throw error;
    fill(content, problemBox(error));
  }
}
