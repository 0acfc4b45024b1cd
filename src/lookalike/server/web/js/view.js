// What views are written with: Preact's components and hooks, htm's templates, and what joins them to the page.
//
// A view is a function ({params, tab}) => html`…`: what the address says goes in, and what is to be seen comes
// out. What comes from the server only ever becomes text or an attribute, so no name and no label can be run.

import { givenUp } from "./api.js";
import htm from "../vendor/htm.js";
import {
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "../vendor/hooks.js";
import { Fragment, h, render } from "../vendor/preact.js";

/** Elements and components from a template: html`<p class=${kind}>${text}</p>`. */
export const html = htm.bind(h);

export { Fragment, render, useCallback, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef, useState };

/**
 * Ask for something when a component appears, and again whenever what is asked has changed.
 * @param key a text that says what is asked; null where nothing is
 * @param request called with a signal for a promise; the signal ends it when something else is asked, or when the
 *   component goes
 * @returns {answer, error, busy, again}: the last answer, which stays while the next is awaited; the Problem; whether
 *   an answer is awaited; what asks once more
 */
export function useAnswer(key, request) {
  const [tries, setTries] = useState(0);
  const [got, setGot] = useState({ key: null, tries: 0, answer: null, error: null });
  useLayoutEffect(() => {
    if (key === null) return undefined;
    const under = new AbortController();
    request(under.signal).then(
      (answer) => under.signal.aborted || setGot({ key, tries, answer, error: null }),
      (error) => {
        if (under.signal.aborted || givenUp(error)) return;
        setGot({ key, tries, answer: null, error });
        // An error that is none of the server's is one of ours, and goes on.
        if (error.status === undefined) throw error;
      },
    );
    return () => under.abort();
  }, [key, tries]);
  const current = got.key === key && got.tries === tries;
  return {
    answer: got.answer,
    error: current ? got.error : null,
    busy: key !== null && !current,
    again: () => setTries(tries + 1),
  };
}

/** Listen to an event of the document, or of another target, as long as a component is there. */
export function useListener(name, act, target = document) {
  const latest = useRef(act);
  latest.current = act;
  useLayoutEffect(() => {
    const listen = (event) => latest.current(event);
    target.addEventListener(name, listen);
    return () => target.removeEventListener(name, listen);
  }, [name, target]);
}

/** An AbortSignal that ends with the component. */
export function useSignal() {
  const under = useMemo(() => new AbortController(), []);
  useLayoutEffect(() => () => under.abort(), []);
  return under.signal;
}

/** A component around elements that something else made. */
export function Node({ node }) {
  const place = useRef(null);
  useLayoutEffect(() => place.current.replaceChildren(node), [node]);
  return html`<div class="filled" ref=${place}></div>`;
}
