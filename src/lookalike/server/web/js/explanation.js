// Why a picture was classified so: what no voter has, and the pair of regions that speaks most for the label.

import { openImage } from "./hits.js";
import { Icon } from "./icons.js";
import { decimal, t } from "./language.js";
import { Answer, Said } from "./notices.js";
import { thumbnail } from "./pictures.js";
import { FileName, short, textOf } from "./values.js";
import { html, useAnswer, useEffect, useState } from "./view.js";

/** Of the voter's picture, on the screen. */
const WIDTH = 160;

/**
 * A button that asks why, and then the answer.
 * @param explain asks the server with a signal, and returns the explanation
 * @param layers over the picture, to which the drawing is added
 * @param neighbours that voted
 */
export function Explanation({ explain, layers, neighbours }) {
  const [asked, setAsked] = useState(false);
  const answer = useAnswer(asked ? "why" : null, explain);
  const overlay = answer.answer?.overlay;
  useEffect(() => {
    if (overlay) layers.add({ url: overlay, key: "w", name: t("why.layer"), shown: true });
  }, [overlay]);
  const button = html`<button type="button" title=${t("why.what")} onclick=${() => setAsked(true)}>
    <${Icon} name="layers" />${t("why.ask")}
  </button>`;
  return html`<section class="why">
    ${asked
      ? html`<${Answer} of=${answer} wait=${t("why.waiting")}>
          ${(found) =>
            found.skipped
              ? html`<${Said} text=${found.skipped} />`
              : html`<h3>${t("why.title")}</h3>
                  <${Pair} found=${found} neighbours=${neighbours} />
                  ${found.threshold !== null &&
                  html`<p>${found.boxes.length ? t("why.novel", { count: found.boxes.length }) : t("why.nothing")}</p>`}
                  ${found.remarks.map((each) => html`<div class="soft"><${Said} text=${each} /></div>`)}`}
        <//>`
      : button}
  </section>`;
}

function Pair({ found: { pair, label, runner_up: other }, neighbours }) {
  const [named, runner] = [label, other].map((each) => short(textOf(each), 60));
  if (!pair) return html`<p>${t("why.nopair", { label: named })}</p>`;
  const { voter, voter_region: like, similarity, runner_up_similarity: less } = pair;
  const name = neighbours.find((each) => each.id === voter)?.name ?? voter;
  const part = (share) => `${100 * share}%`;
  const region = {
    left: part(like.left),
    top: part(like.top),
    width: part(like.right - like.left),
    height: part(like.bottom - like.top),
  };
  return html`<p>
      ${t("why.pair", { label: named, runner, similarity: decimal(similarity, 2), less: decimal(less, 2) })}
    </p>
    <button type="button" class="bare voter" onclick=${() => openImage(voter)}>
      <span class="framed">
        <img src=${thumbnail(voter, WIDTH)} alt="" draggable=${false} />
        <span class="region" style=${region}></span>
      </span>
      <${FileName} name=${name} longest=${120} />
    </button>`;
}
