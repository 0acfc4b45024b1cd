// The key that the server may ask for. It goes into a cookie that no script can read.

import { problemOf, send } from "./api.js";
import { el, fill, fresh } from "./dom.js";
import { t } from "./language.js";

let prompt = null;

/**
 * Ask the visitor for a key until the server takes one; many requests wait for the same answer.
 * @param signal of the request that was refused
 */
export async function askForKey(signal) {
  prompt ??= shownPrompt().finally(() => {
    prompt = null;
  });
  await prompt;
  signal?.throwIfAborted();
}

function shownPrompt() {
  return new Promise((resolve) => {
    const title = fresh("key");
    const said = el("p", { class: "notice bad", role: "alert", hidden: true });
    const input = el("input", {
      type: "password",
      autocomplete: "current-password",
      required: true,
      id: fresh("key"),
    });
    const button = el("button", { class: "primary" }, t("key.send"));
    const form = el(
      "form",
      {
        method: "dialog",
        onsubmit: async (event) => {
          event.preventDefault();
          button.disabled = true;
          const refusal = await login(input.value);
          button.disabled = false;
          if (refusal === null) {
            dialog.close();
            dialog.remove();
            resolve();
            return;
          }
          fill(said, refusal);
          said.hidden = false;
          input.select();
        },
      },
      el("h2", { id: title }, t("key.title")),
      el("p", {}, t("key.why")),
      el("label", { for: input.id }, t("key.label")),
      input,
      said,
      el("div", { class: "actions" }, button),
    );
    // Without a key nothing can be shown, so Escape has nothing to go back to.
    const dialog = el(
      "dialog",
      { class: "small", "aria-labelledby": title, oncancel: (event) => event.preventDefault() },
      form,
    );
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

async function login(key) {
  try {
    const response = await send("POST", "/v1/login", { json: { key } });
    return response.ok ? null : (await problemOf(response)).message;
  } catch (error) {
    return error.message;
  }
}

/** Give the key back: the next request asks for one again. */
export async function signOut() {
  await send("DELETE", "/v1/login");
}
