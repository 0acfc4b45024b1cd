// All that is known of one image, and what can be done with it.

import { anomalySection } from "./anomaly.js";
import { givenUp } from "./api.js";
import { app, mayWrite } from "./app.js";
import { corrector } from "./correcting.js";
import { el, fill, icon } from "./dom.js";
import { bytes, t } from "./language.js";
import { pause } from "./jobs.js";
import { layersOver } from "./layers.js";
import { announce } from "./notices.js";
import { original, picture, player } from "./pictures.js";
import { go, link, read } from "./route.js";
import { short, shown } from "./values.js";

/** Milliseconds that an image is looked at before it is asked whether it is normal: that costs the server. */
const LOOKED_AT = 400;

/** Return the parts of an image's details: its picture, and what is known of it; the signal ends its questions. */
export function aboutImage(image, signal) {
  const { collection } = read();
  const params = (entries) => new URLSearchParams(entries);
  const classify = link({ collection, view: "classify", params: params([["p", image.id]]) });
  const search = { collection, view: "search", params: params([["p", `+${image.id}`]]) };
  const frame = el("div", {}, picture(image, { width: 512, eager: true, why: true }));
  const layers = layersOver(frame);
  const anomaly = anomalySection(image.id, layers);
  pause(LOOKED_AT, signal).then(
    () => anomaly.judge(signal),
    (error) => {
      if (!givenUp(error)) throw error;
    },
  );
  return [
    el(
      "div",
      { class: "large" },
      frame,
      layers.buttons,
      typeof image.time === "number" && player(image),
      anomaly.place,
      el(
        "a",
        { href: original(image.id), target: "_blank", rel: "noopener" },
        icon("open"),
        t("details.original"),
      ),
    ),
    el(
      "div",
      { class: "known" },
      el(
        "div",
        { class: "actions" },
        el(
          "button",
          { type: "button", class: "primary", onclick: () => go(search) },
          icon("search"),
          t("details.search"),
        ),
        el("a", { class: "button", href: classify }, icon("tag"), t("details.classify")),
        el("button", { type: "button", onclick: () => sum("+", image.id) }, icon("plus"), t("details.add")),
        el(
          "button",
          { type: "button", onclick: () => sum("-", image.id) },
          icon("minus"),
          t("details.subtract"),
        ),
      ),
      fields(image),
      facts(image),
      Object.keys(image.metadata).length > 0 && metadata(image.metadata),
    ),
  ];
}

/** Add the image to what is searched for, or take it away. */
function sum(sign, id) {
  const route = read();
  const params = route.view === "search" ? route.params : new URLSearchParams();
  const others = params.getAll("p").filter((each) => each.slice(1) !== id);
  params.delete("p");
  for (const each of [...others, sign + id]) params.append("p", each);
  params.delete("image");
  go({ collection: route.collection, view: "search", params });
  announce(t(sign === "+" ? "terms.added" : "terms.subtracted"));
}

function fields(image) {
  const place = el("section", { class: "fields", "data-image": image.id });
  const show = (details) => {
    const names = [...new Set([...Object.keys(details.fields), ...app.collection.fields])].sort();
    fill(
      place,
      el("h3", {}, t("details.fields")),
      names.length === 0 ? el("p", { class: "soft" }, t("details.nofields")) : null,
      names.map((name) => row(name, details)),
      mayWrite() ? null : el("p", { class: "soft" }, t("write.readonly")),
    );
  };
  // A row that is being changed says itself what became of it.
  place.addEventListener("image-changed", (event) => {
    for (const each of place.querySelectorAll("[data-field]")) {
      fill(each, ...valueAndNote(each.dataset.field, event.detail));
    }
  });
  show(image);
  return place;
}

function valueAndNote(name, details) {
  const delivered = details.corrected?.[name];
  const corrected = details.corrected && name in details.corrected;
  return [
    name in details.fields
      ? shown(details.fields[name], 20_000)
      : el("span", { class: "soft" }, t("value.none")),
    corrected && el("span", { class: "tag note" }, t("details.delivered"), " ", shown(delivered, 60)),
    details.confirmed?.includes(name) &&
      el("span", { class: "tag note" }, icon("check"), t("details.confirmed")),
  ];
}

function row(name, details) {
  const value = el(
    "span",
    { class: "field-value", "data-field": name },
    ...valueAndNote(name, details).filter(Boolean),
  );
  const form = el("div", { class: "field-form", hidden: true });
  const edit = el(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-expanded": "false",
      "aria-label": t("correct.open", { field: short(name, 60) }),
      onclick: () => {
        form.hidden = !form.hidden;
        edit.setAttribute("aria-expanded", String(!form.hidden));
        if (form.hidden) return;
        if (!form.firstChild)
          form.append(corrector({ id: details.id, field: name, value: details.fields[name] ?? null }));
        form.querySelector("input").focus();
      },
    },
    icon("edit"),
  );
  return el(
    "div",
    { class: "field" },
    el("span", { class: "field-name", dir: "auto" }, short(name, 120)),
    value,
    mayWrite() && edit,
    form,
  );
}

function facts(image) {
  return el(
    "p",
    { class: "soft facts" },
    bytes(image.size),
    " · ",
    el("span", { title: image.digest }, `SHA-256 ${image.digest.slice(0, 12)}…`),
    " · ",
    el("span", {}, t("details.id"), " ", el("code", {}, image.id)),
  );
}

function metadata(value) {
  const text = JSON.stringify(value, null, 2);
  return el(
    "details",
    {},
    el("summary", {}, t("details.metadata")),
    el("pre", { dir: "auto", tabindex: "0" }, short(text, 100_000)),
  );
}
