// Which image comes before and after one that is looked at: as the list behind it has them.

import { useLayoutEffect, useRef } from "./view.js";

const lists = [];

/**
 * Say what the order of a list is, as long as its component is there.
 * @param list {has(id, step), get(id, step), reveal(id)}: whether there is an image so many before or after one; its
 *   id, perhaps later; what brings an image into view and gives it the focus
 */
export function useSequence(list) {
  const latest = useRef(list);
  latest.current = list;
  useLayoutEffect(() => {
    lists.push(latest);
    return () => lists.splice(lists.indexOf(latest), 1);
  }, []);
}

function listOf(id) {
  return lists.map((each) => each.current).find((each) => each.has(id, 0));
}

function cardOf(id) {
  return document.querySelector(`#main .card[data-image="${CSS.escape(id)}"]`);
}

function besideCard(id, step) {
  const card = cardOf(id);
  const other = step < 0 ? card?.previousElementSibling : card?.nextElementSibling;
  return other?.dataset.image ?? null;
}

/** Return whether there is an image before (-1) or after (1) one. */
export function hasBeside(id, step) {
  return listOf(id)?.has(id, step) ?? besideCard(id, step) !== null;
}

/** Return the id of the image before or after one; null where there is none. */
export async function beside(id, step) {
  const list = listOf(id);
  return list ? await list.get(id, step) : besideCard(id, step);
}

/** Bring an image into view in the list that it is in, and give it the focus. */
export function reveal(id) {
  const list = listOf(id);
  if (list) list.reveal(id);
  else cardOf(id)?.querySelector(".open")?.focus();
}
