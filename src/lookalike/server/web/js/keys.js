// The key that the server may ask for. It goes into a cookie that no script can read.

import { problemOf, send } from "./api.js";
import { t } from "./language.js";
import { html, render, useEffect, useId, useLayoutEffect, useRef, useState } from "./view.js";

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
  const place = document.body.appendChild(document.createElement("div"));
  return new Promise((resolve) => {
    const done = () => {
      render(null, place);
      place.remove();
      resolve();
    };
    render(html`<${Prompt} done=${done} />`, place);
  });
}

function Prompt({ done }) {
  const id = useId();
  const dialog = useRef(null);
  const input = useRef(null);
  const [{ busy, refusal }, setState] = useState({ busy: false, refusal: null });
  useLayoutEffect(() => {
    dialog.current.showModal();
    input.current.focus();
  }, []);
  useEffect(() => refusal && input.current.select(), [refusal]);
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true, refusal: null });
    const said = await login(input.current.value);
    if (said === null) done();
    else setState({ busy: false, refusal: said });
  };
  // Without a key nothing can be shown, so Escape has nothing to go back to.
  return html`<dialog
    ref=${dialog}
    class="small"
    aria-labelledby=${`${id}-title`}
    oncancel=${(event) => event.preventDefault()}
  >
    <form method="dialog" onsubmit=${send}>
      <h2 id=${`${id}-title`}>${t("key.title")}</h2>
      <p>${t("key.why")}</p>
      <label for=${id}>${t("key.label")}</label>
      <input ref=${input} type="password" autocomplete="current-password" required id=${id} />
      ${refusal && html`<p class="notice bad" role="alert">${refusal}</p>`}
      <div class="actions"><button class="primary" disabled=${busy}>${t("key.send")}</button></div>
    </form>
  </dialog>`;
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
