// What the address says after its #: the collection, the view, and what is asked there.
//
// #/COLLECTION/VIEW/TAB?name=value&…; the server never sees it.

const VIEWS = ["search", "classify", "judge", "index"];

/** Return what the address says; what is missing or unknown has its default. */
export function read() {
  const text = location.hash.replace(/^#\/?/, "");
  const [path, ...query] = text.split("?");
  const [collection, view, tab] = path.split("/").map(decoded);
  return {
    collection: collection || null,
    view: VIEWS.includes(view) ? view : "search",
    tab: tab || null,
    params: new URLSearchParams(query.join("?")),
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Return the address of a place in the page. */
export function link({ collection, view, tab = null, params = null }) {
  const path = [collection ?? "", view, ...(tab ? [tab] : [])].map(encodeURIComponent).join("/");
  const query = params ? params.toString() : "";
  return `#/${path}${query ? `?${query}` : ""}`;
}

const moved = new Set();

/** Call a function whenever the address has changed. */
export function onMove(act) {
  moved.add(act);
}

/**
 * Go to a place in the page.
 * @param route as `read` returns it
 * @param options replace: keep no way back to where we are; over: the parameter of what lies over what is there,
 *   like a dialog
 */
export function go(route, { replace = false, over = null } = {}) {
  const address = link(route);
  if (address === location.hash) return;
  if (replace) history.replaceState(history.state, "", address);
  else history.pushState({ over, steps: 1 + (over && history.state?.over === over ? history.state.steps : 0) }, "", address);
  for (const act of moved) act();
}

/** Go on with some parameters changed: null takes one away, a list stands for several of the name. */
export function change(changes, options = {}) {
  const route = read();
  for (const [name, value] of Object.entries(changes)) {
    route.params.delete(name);
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") route.params.append(name, each);
    }
  }
  go(route, options);
}

/** Leave what lies over the page, however many were looked at: go back where we came from, or only take it away. */
export function leave(name) {
  if (history.state?.over === name) history.go(-history.state.steps);
  else change({ [name]: null }, { replace: true });
}

addEventListener("popstate", () => {
  for (const act of moved) act();
});
