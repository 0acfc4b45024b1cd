// Images that were found, as a grid of cards.

import { labelField, useLatest } from "./app.js";
import { Icon } from "./icons.js";
import { decimal, number, t } from "./language.js";
import { Picture } from "./pictures.js";
import { change } from "./route.js";
import { FileName, keyOf, short, Value } from "./values.js";
import { html } from "./view.js";

const FIELDS = 3;

/** Open the details of an image, over what is there. */
export function openImage(id) {
  change({ image: id }, { over: "image" });
}

/** The fields, the label first, and each value once: folders' names are often the label, too. */
function different(fields) {
  const label = labelField();
  const names = Object.keys(fields).sort((a, b) => (b === label) - (a === label));
  const seen = new Set();
  return names
    .map((each) => [each, fields[each]])
    .filter(([, value]) => !seen.has(keyOf(value)) && seen.add(keyOf(value)));
}

function steps(cards) {
  const top = cards[0].getBoundingClientRect().top;
  const across = cards.findIndex((each) => each.getBoundingClientRect().top > top + 1);
  const columns = across < 0 ? cards.length : across;
  return {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: columns,
    ArrowUp: -columns,
    Home: -cards.length,
    End: cards.length,
  };
}

/** A grid for cards, in which the arrow keys go from one to the next; it says its `label` to a screen reader. */
export function Grid({ label, kind = "", children }) {
  return html`<ul class=${`grid ${kind}`} aria-label=${label} role="list" onkeydown=${step}>
    ${children}
  </ul>`;
}

function step(event) {
  const cards = [...event.currentTarget.querySelectorAll(":scope > .card > .open")];
  const place = cards.indexOf(document.activeElement);
  const by = place < 0 ? undefined : steps(cards)[event.key];
  if (by === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  cards[Math.min(Math.max(place + by, 0), cards.length - 1)].focus();
}

/**
 * An image as a card of a short list; a click opens its details.
 * @param image with its similarity where it has one
 * @param width in CSS pixels
 * @param fields those to show, by default the first
 * @param note a figure of it
 * @param actions buttons for the mouse, {drawing, label, act}, which the details have too
 */
export function Card({ image, width = 160, fields = null, note = null, actions = [] }) {
  return html`<li class="card" data-image=${image.id}>
    <button type="button" class="open" onclick=${() => openImage(image.id)}>
      <${CardFace} image=${image} width=${width} fields=${fields} note=${note} />
    </button>
    <${Quick} image=${image} actions=${actions} />
  </li>`;
}

/** What a card shows of an image: its picture, and what is known at a glance. */
export function CardFace({ image, width, fields, note }) {
  const latest = useLatest(image);
  return html`<${Picture} image=${image} width=${width} alt="" />
    <span class="about">
      ${image.similarity !== undefined && html`<${Similarity} image=${image} />`}
      ${note && html`<span class="similarity">${note}</span>`}
      <span class="tags">
        ${image.weak && html`<span class="tag weak" title=${t("hit.weak.what")}>${t("hit.weak")}</span>`}
        <${Tags} fields=${latest.fields} wanted=${fields} />
      </span>
      <${FileName} name=${image.name} longest=${120} />
      <${Places} image=${image} />
    </span>`;
}

/** Buttons of a card for the mouse. */
export function Quick({ image, actions }) {
  if (!actions.length) return null;
  return html`<span class="quick">
    ${actions.map(
      ({ drawing, label, act }) =>
        html`<button type="button" title=${label} aria-label=${label} tabindex="-1" onclick=${() => act(image)}>
          <${Icon} name=${drawing} />
        </button>`,
    )}
  </span>`;
}

function Similarity({ image }) {
  if (image.similarity === null) return html`<span class="similarity">${t("hit.words")}</span>`;
  return html`<span class="similarity">
    <span class="bar" aria-hidden="true">
      <span style=${{ "--part": String(Math.max(0, image.similarity)) }}></span>
    </span>
    <span class="heard">${t("hit.similarity")}</span>
    <span>${decimal(image.similarity, 3)}</span>
  </span>`;
}

function Tags({ fields, wanted }) {
  const entries = wanted
    ? wanted.filter((each) => each in fields).map((each) => [each, fields[each]])
    : different(fields);
  const left = entries.length - FIELDS;
  return html`${entries
    .slice(0, FIELDS)
    .map(
      ([field, value]) =>
        html`<span class="tag" title=${short(`${field} = ${value}`, 2000)}><${Value} value=${value} longest=${60} /></span>`,
    )}${left > 0 && html`<span class="tag rest">+${number(left)}</span>`}`;
}

function Places({ image }) {
  const said = [
    image.by_vectors && t("hit.vectors", { place: image.by_vectors }),
    image.by_words && t("hit.byword", { place: image.by_words }),
  ].filter(Boolean);
  return said.length > 0 && html`<span class="places">${said.join(" · ")}</span>`;
}
