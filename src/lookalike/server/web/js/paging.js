// Lists that come in pages.

import { givenUp } from "./api.js";
import { t } from "./language.js";
import { ProblemBox, Waiting } from "./notices.js";
import { html, useLayoutEffect, useRef, useState } from "./view.js";

/**
 * Ask for the first page of a list when a component appears, or when what is asked has changed.
 * @param key a text that says what is asked
 * @param page called with the number of pages that are there, and a signal, for a promise of the next
 * @returns {pages, busy, error, next}: next asks for one more
 */
export function usePages(key, page) {
  const [state, setState] = useState({ key: null });
  const under = useRef(null);
  const load = (pages) => {
    under.current?.abort();
    under.current = new AbortController();
    const { signal } = under.current;
    setState({ key, pages, busy: true, error: null });
    page(pages.length, signal).then(
      (found) => signal.aborted || setState({ key, pages: [...pages, found], busy: false, error: null }),
      (error) => {
        if (signal.aborted || givenUp(error)) return;
        setState({ key, pages, busy: false, error });
        if (error.status === undefined) throw error;
      },
    );
  };
  useLayoutEffect(() => {
    load([]);
    return () => under.current.abort();
  }, [key]);
  const current = state.key === key ? state : { pages: [], busy: true, error: null };
  return { ...current, next: () => load(current.pages) };
}

/** A button for the rest of a list, that it is awaited, or what went wrong. */
export function Rest({ of: { busy, error, next }, left }) {
  const button = html`<button type="button" class="wide" onclick=${next}>${t("rest", { count: left })}</button>`;
  return html`<div class="more">
    ${busy ? html`<${Waiting} />` : error ? html`<${ProblemBox} error=${error} again=${next} />` : left > 0 && button}
  </div>`;
}
