// How unlike the normal pictures of the collection one picture is, and where.

import { ask } from "./api.js";
import { here, knowsNormal } from "./app.js";
import { heldFile, isFile } from "./files.js";
import { pause } from "./jobs.js";
import { decimal, percent, t } from "./language.js";
import { Answer, Said } from "./notices.js";
import { html, useAnswer, useEffect } from "./view.js";

/** Places that are told in words. */
const PLACES = 3;

let last = Promise.resolve();

/** Do something when all that was asked for before is done: the answers appear one after the other. */
function inTurn(act) {
  const mine = last.then(act);
  last = mine.catch(() => {});
  return mine;
}

/**
 * The verdict on a picture; nothing where the collection has not learned what is normal.
 * @param reference of the picture: an id, or a file of the visitor
 * @param layers over the picture, to which its map is added
 * @param wait milliseconds that it is looked at before it is asked: that costs the server
 */
export function Anomaly({ reference, layers, wait = 0 }) {
  const normal = useAnswer("normal", knowsNormal);
  const judged = useAnswer(normal.answer ? reference : null, async (signal) => {
    if (wait) await pause(wait, signal);
    return inTurn(() => ask("POST", here("anomaly"), { ...bodyOf(reference), signal }));
  });
  const found = judged.answer?.scores[0];
  useEffect(() => {
    if (found?.overlay)
      layers.add({ url: found.overlay, key: "m", name: t("anomaly.map"), shown: found.anomalous });
  }, [found]);
  if (!normal.answer && !normal.error) return null;
  return html`<section class="anomaly">
    <${Answer} of=${normal.error ? normal : judged} wait=${t("anomaly.waiting")}>
      ${({ scores: [score], ...answer }) => html`<h3>${t("anomaly.title")}</h3>
        ${score.skipped ? html`<${Said} text=${score.skipped} />` : html`<${Verdict} found=${score} of=${answer} />`}`}
    <//>
  </section>`;
}

function bodyOf(reference) {
  const query = { overlay: true };
  if (!isFile(reference)) return { json: { ...query, ids: [reference] } };
  const form = new FormData();
  const { file } = heldFile(reference);
  form.append("query", JSON.stringify(query));
  form.append("image", file, file.name || "pasted");
  return { form };
}

function Verdict({ found, of: { normal, false_alarm: rate } }) {
  const kind = found.anomalous ? "odd" : "usual";
  const parts = Object.keys(found.parts);
  // The score is the highest of these.
  const most = parts.reduce((a, b) => (found.parts[a] >= found.parts[b] ? a : b));
  const figure = (key, value, why = t(`${key}.why`)) =>
    html`<div title=${why}>
      <dt>${t(key)}</dt>
      <dd>${value}</dd>
    </div>`;
  const more = found.boxes.length - PLACES;
  return html`<p class=${`outcome ${found.anomalous ? "bad" : "good"}`}>${t(`anomaly.${kind}`)}</p>
    <p>${t(`anomaly.${kind}.what`, { share: percent(found.p_value), normal })}</p>
    <dl class="figures">
      ${figure("anomaly.score", decimal(found.score, 2))}
      ${figure(
        "anomaly.threshold",
        decimal(found.threshold, 2),
        t("anomaly.threshold.why", { rate: percent(rate) }),
      )}
      ${figure("anomaly.p", decimal(found.p_value, 3))}
    </dl>
    ${found.anomalous && html`<p>${t("anomaly.most")} <b>${t(`anomaly.${most}`)}</b></p>`}
    ${found.boxes.length > 0 &&
    html`<ul class="plain soft" role="list">
      ${found.boxes.slice(0, PLACES).map((box) => html`<li>${t("anomaly.place", sides(box))}</li>`)}
      ${more > 0 && html`<li>${t("anomaly.places", { count: more })}</li>`}
    </ul>`}
    ${found.known && html`<p class="soft">${t("anomaly.known")}</p>`}`;
}

function sides({ left, right, top, bottom }) {
  return Object.fromEntries(
    Object.entries({ left, right, top, bottom }).map(([name, each]) => [name, percent(each, 0)]),
  );
}
