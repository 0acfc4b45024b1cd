// The pictures that are searched for, each with its sign.

import { el, icon } from "./dom.js";
import { heldFile, isFile } from "./files.js";
import { t } from "./language.js";
import { openImage } from "./hits.js";
import { picture } from "./pictures.js";
import { pictureTerms } from "./question.js";
import { change, go, read } from "./route.js";
import { short } from "./values.js";

/** Return the pictures of a question, with buttons to turn their signs and to take them out. */
export function termChips(params) {
  const terms = pictureTerms(params);
  const several = terms.length > 1 || Boolean(params.get("q"));
  return terms.map((term, place) => chip(term, place, several));
}

function chip({ sign, reference }, place, several) {
  const file = isFile(reference) ? heldFile(reference) : null;
  const image = isFile(reference) ? null : { id: reference, name: reference };
  const name = short(file ? file.file.name : t("terms.image"), 60);
  const shown = file || image ? picture(image, { width: 96, reference, alt: name, eager: true }) : null;
  const turn = el(
    "button",
    {
      type: "button",
      class: `sign ${sign < 0 ? "minus" : ""}`,
      "aria-label": t(sign < 0 ? "terms.isminus" : "terms.isplus", { name }),
      onclick: () => replace(place, `${sign < 0 ? "+" : "-"}${reference}`),
    },
    icon(sign < 0 ? "minus" : "plus"),
  );
  return el(
    "li",
    { class: `term ${sign < 0 ? "minus" : ""}` },
    (several || sign < 0) && turn,
    image
      ? el("button", { type: "button", class: "bare", onclick: () => openImage(reference) }, shown)
      : shown,
    file && el("bdi", { class: "name" }, name),
    file &&
      el(
        "a",
        {
          class: "button quiet",
          href: classifyLink(reference),
          "aria-label": t("details.classify"),
          title: t("details.classify"),
        },
        icon("tag"),
      ),
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": t("terms.remove", { name }),
        onclick: () => replace(place, null),
      },
      icon("close"),
    ),
  );
}

function classifyLink(reference) {
  return `#/${encodeURIComponent(read().collection ?? "")}/classify?${new URLSearchParams([["p", reference]])}`;
}

function replace(place, term) {
  const all = read().params.getAll("p");
  all.splice(place, 1, ...(term ? [term] : []));
  change({ p: all, image: null });
}

/** Search from one image alone. */
export function searchFrom(id) {
  go({ ...read(), view: "search", tab: null, params: new URLSearchParams([["p", `+${id}`]]) });
}

/** Add an image to what is searched for, or take it away. */
export function addTerm(sign, id) {
  const others = read()
    .params.getAll("p")
    .filter((each) => each.slice(1) !== id);
  change({ p: [...others, sign + id], image: null });
}
