// Which images of a list are chosen.

import { announce } from "./notices.js";
import { useMemo, useState } from "./view.js";

const NONE = { ids: new Set(), before: new Set(), anchor: null };

/**
 * Return what is chosen of a list, and what changes it.
 * @param key another list has nothing chosen
 * @param list as `useListing` returns it
 */
export function useSelection(key, list) {
  const [state, setState] = useState({ ...NONE, key });
  const current = state.key === key ? state : NONE;
  return useMemo(() => {
    const { ids, before, anchor } = current;
    const set = (changes) => setState({ ...current, key, ...changes });
    return {
      ids,
      has: (id) => ids.has(id),
      clear: () => set(NONE),
      /** Choose exactly these. */
      only: (some) => set({ ids: new Set(some) }),
      /** Choose one or no longer; a range goes on from its place. */
      toggle: (id, index) => {
        const next = new Set(ids);
        if (!next.delete(id)) next.add(id);
        set({ ids: next, before: next, anchor: index });
      },
      /** Choose all from where the range began, by default at a place, to another, beside those of before. */
      extend: async (index, from = index) => {
        const begin = anchor ?? from;
        const base = anchor === null ? ids : before;
        try {
          const found = await list.ids(Math.min(begin, index), Math.max(begin, index) + 1);
          set({ ids: new Set([...base, ...found]), before: base, anchor: begin });
        } catch (error) {
          if (error.status === undefined) throw error;
          announce(error.message);
        }
      },
    };
  }, [current, key, list]);
}
