// The images of a collection in an order, fetched in parts when they are to be seen.

import { ask, givenUp } from "./api.js";
import { here } from "./app.js";
import { useEffect, useListener, useMemo, useReducer } from "./view.js";

/** Images of one part. */
const PART = 120;
/** Images of one part where only their ids are wanted: as many as the server gives. */
const IDS = 1000;
/** Milliseconds that a place is looked at before it is fetched: whoever scrolls far does not ask for all between. */
const LOOKED_AT = 60;

/** Images of one order and filter; `redraw` is called when more of it is known. */
class Listing {
  #question;
  #redraw;
  #parts = new Map();
  #places = new Map();
  #asked = new Map();
  #wanted = [0, 1];
  #timer = null;
  #version = null;

  total = null;
  groups = [];
  error = null;

  constructor(question, redraw) {
    this.#question = question;
    this.#redraw = redraw;
    this.#fetch(0);
  }

  /** Return the image at a place; null where it is not there yet. */
  at(index) {
    return this.#parts.get(Math.floor(index / PART))?.[index % PART] ?? null;
  }

  /** Return the place of an image that is there; -1 of another. */
  indexOf(id) {
    return this.#places.get(id) ?? -1;
  }

  /** Have the images of some places fetched, and no others any more. */
  want(from, to) {
    this.#wanted = [from, to];
    if (this.#missing().length === 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#catchUp(), LOOKED_AT);
  }

  /** Return the ids of the images from one place up to, and without, another. */
  async ids(from, to) {
    const found = [];
    for (let offset = from; offset < to; offset += IDS) {
      const limit = Math.min(IDS, to - offset);
      const known = Array.from({ length: limit }, (_, n) => this.at(offset + n)?.id);
      if (!known.includes(undefined)) found.push(...known);
      else found.push(...(await this.#ask(offset, limit, [])).images.map((each) => each.id));
    }
    return found;
  }

  /** Return the image at a place, fetched if it is not there yet. */
  async get(index) {
    return this.at(index) ?? (await this.#ask(index, 1)).images[0] ?? null;
  }

  /** Fetch all anew: images have come, gone or changed. */
  reload() {
    this.#version = null;
    this.error = null;
    for (const under of this.#asked.values()) under.abort();
    this.#asked.clear();
    this.#fetch(0);
  }

  /** Take over what has changed of an image. */
  change(details) {
    const image = this.at(this.indexOf(details.id));
    if (image) image.fields = details.fields;
  }

  /** Fetch nothing more. */
  stop() {
    clearTimeout(this.#timer);
    for (const under of this.#asked.values()) under.abort();
  }

  #missing() {
    const [first, last] = this.#wanted.map((each) => Math.floor(each / PART));
    const parts = Array.from({ length: last - first + 1 }, (_, n) => first + n);
    return parts.filter((part) => !this.#parts.has(part) && part * PART < (this.total ?? 1));
  }

  #catchUp() {
    const missing = this.#missing();
    for (const [part, under] of this.#asked) {
      if (!missing.includes(part)) under.abort();
    }
    for (const part of missing) this.#fetch(part);
  }

  async #ask(offset, limit, fields = null, signal = undefined) {
    return await ask("POST", here("browse"), { json: { ...this.#question, offset, limit, fields }, signal });
  }

  async #fetch(part) {
    if (this.#asked.has(part)) return;
    const under = new AbortController();
    this.#asked.set(part, under);
    try {
      const answer = await this.#ask(part * PART, PART, null, under.signal);
      if (!under.signal.aborted) this.#take(part, answer);
    } catch (error) {
      if (givenUp(error)) return;
      this.error = error;
      this.#redraw();
      if (error.status === undefined) throw error;
    } finally {
      if (this.#asked.get(part) === under) this.#asked.delete(part);
    }
  }

  #take(part, { images, total, groups, version }) {
    const anew = version !== this.#version;
    if (anew) {
      this.#parts.clear();
      this.#places.clear();
      this.#version = version;
    }
    this.total = total;
    if (part === 0) this.groups = groups;
    this.#parts.set(part, images);
    images.forEach((each, n) => this.#places.set(each.id, part * PART + n));
    if (anew && part !== 0) this.#fetch(0);
    if (anew) this.want(...this.#wanted);
    this.#redraw();
  }
}

/** Return the listing of the images by {order, by, where}; a component is drawn anew when more of it is known. */
export function useListing(question) {
  const [, redraw] = useReducer((n) => n + 1, 0);
  const listing = useMemo(() => new Listing(question, redraw), [JSON.stringify(question)]);
  useEffect(() => () => listing.stop(), [listing]);
  useListener("image-changed", ({ detail }) => listing.change(detail));
  useListener("collections-changed", () => listing.reload());
  return listing;
}

/** Return images that are all there as a listing. */
export function listed(images) {
  const places = new Map(images.map((each, n) => [each.id, n]));
  return {
    total: images.length,
    groups: [],
    error: null,
    at: (index) => images[index] ?? null,
    indexOf: (id) => places.get(id) ?? -1,
    want: () => {},
    ids: async (from, to) => images.slice(from, to).map((each) => each.id),
    get: async (index) => images[index] ?? null,
  };
}
