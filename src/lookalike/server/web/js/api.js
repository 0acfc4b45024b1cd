// Requests to the server that this page came from, and to no other.

import { language, t } from "./language.js";

let unlock = null;

/** Say what to call where the server asks for a key; it returns when the visitor has given one. */
export function whenLocked(act) {
  unlock = act;
}

/** Why a request was refused, as the server says it (RFC 9457). */
export class Problem extends Error {
  constructor(status, detail, name = "") {
    super(detail);
    this.status = status;
    this.error = name;
  }
}

/**
 * Ask the server.
 * @param method of HTTP
 * @param path after the server's address, with what comes from outside already encoded: see `at`
 * @param options json or form: the body; signal: aborts it
 * @returns the answer's JSON; null where there is none
 * @throws Problem; AbortError where the signal was used
 */
export async function ask(method, path, options = {}) {
  const response = await answered(method, path, options);
  return response.status === 204 ? null : await response.json();
}

/** Ask the server for a file: the same, but for what comes back, a Blob. */
export async function askFile(method, path, options = {}) {
  return (await answered(method, path, options)).blob();
}

async function answered(method, path, options) {
  for (;;) {
    const response = await send(method, path, options);
    if (response.ok) return response;
    if (response.status !== 401) throw await problemOf(response);
    await unlock(options.signal);
  }
}

/** Send a request once and return the response, whatever its status. */
export async function send(method, path, { json, form, signal } = {}) {
  const headers = { Accept: "application/json", "Accept-Language": language() };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers,
      body: json === undefined ? form : JSON.stringify(json),
      signal,
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const file = await unreadable(form);
    if (file) throw new Problem(422, t("problem.unreadable", { name: file.name }), "FileUnreadable");
    throw new Problem(0, t("problem.unreachable"));
  }
}

/** Return the first file of a form that the browser cannot read: it has changed since it was chosen, or is gone. */
async function unreadable(form) {
  for (const each of form?.values() ?? []) {
    if (!(each instanceof File)) continue;
    try {
      const reader = each.stream().getReader();
      await reader.read();
      await reader.cancel();
    } catch {
      return each;
    }
  }
  return null;
}

/** Return what a response says of a refusal. */
export async function problemOf(response) {
  try {
    const said = await response.json();
    return new Problem(response.status, String(said.detail), said.error);
  } catch {
    return new Problem(response.status, t("problem.status", { status: String(response.status) }));
  }
}

/** Return a path of the collection: at("tank", "images", id). */
export function at(collection, ...parts) {
  return ["/v1/collections", ...[collection, ...parts].map(encodeURIComponent)].join("/");
}

/** Return whether an error only says that the request was given up. */
export function givenUp(error) {
  return error.name === "AbortError";
}
