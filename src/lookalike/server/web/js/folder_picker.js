// Picking a folder or bucket to index, of those that the service lets be indexed.

import { ask } from "./api.js";
import { Icon } from "./icons.js";
import { t } from "./language.js";
import { Answer } from "./notices.js";
import { short } from "./values.js";
import { html, useAnswer, useEffect, useRef } from "./view.js";

/**
 * The folders that may be indexed, to walk through.
 * @param place {root, path}: where we are; of root null, before all of them
 * @param go called with the place that is to be shown
 * @param children a function of what the server says of the place, shown below the list
 */
export function FolderPicker({ place: { root, path }, go, children }) {
  const asked = new URLSearchParams(root === null ? {} : { root, path });
  const answer = useAnswer(asked.toString(), (signal) => ask("GET", `/v1/folders?${asked}`, { signal }));
  const head = useRef(null);
  const moved = useRef(false);
  // The button that was pressed is gone, and the keys are to go on from here.
  useEffect(() => {
    if (moved.current) head.current?.focus();
  }, [asked.toString()]);
  const move = (next) => {
    moved.current = true;
    go(next);
  };
  const parts = path ? path.split("/") : [];
  const steps = [
    [t("folder.roots"), { root: null, path: "" }],
    ...(root === null ? [] : [[root, { root, path: "" }]]),
    ...parts.map((part, n) => [part, { root, path: parts.slice(0, n + 1).join("/") }]),
  ];
  return html`<div class="stack">
    <nav class="chips" aria-label=${t("folder.where")} tabindex="-1" ref=${head}>
      ${steps.map(
        ([name, to], n) => html`<button
          type="button"
          class="chip"
          key=${n}
          aria-current=${n === steps.length - 1 ? "location" : null}
          onclick=${() => move(to)}
        >
          <bdi>${short(name, 60)}</bdi>
        </button>`,
      )}
    </nav>
    <${Answer} of=${answer}>
      ${(found) => html`<${Folders} found=${found} open=${move} />${found.root !== null && children(found)}`}
    <//>
  </div>`;
}

function Folders({ found: { root, folders }, open }) {
  if (!folders.length) return html`<p class="soft">${t(root === null ? "folder.noroots" : "folder.nofolders")}</p>`;
  return html`<ul class="folders plain" role="list" aria-label=${t("folder.list")}>
    ${folders.map(
      ({ name, path, problem }) => html`<li key=${path || name}>
        <button
          type="button"
          class="quiet"
          disabled=${problem !== null}
          onclick=${() => open({ root: root ?? name, path })}
        >
          <${Icon} name="folder" /><bdi>${short(name, 120)}</bdi>
        </button>
        ${problem !== null && html`<span class="soft">${t(`folder.problem.${problem}`)}</span>`}
      </li>`,
    )}
  </ul>`;
}
