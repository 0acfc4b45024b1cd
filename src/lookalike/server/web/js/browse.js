// All images of a collection, in an order that is chosen.

import { app, chooseLabelField, labelField } from "./app.js";
import { Chosen } from "./chosen.js";
import { fieldOptions, Select } from "./controls.js";
import { Gallery } from "./gallery.js";
import { moment, percent, t } from "./language.js";
import { useListing } from "./listing.js";
import { ProblemBox, Remark, Waiting } from "./notices.js";
import { change } from "./route.js";
import { useSelection } from "./selection.js";
import { Value } from "./values.js";
import { html } from "./view.js";

const ORDERS = ["label", "time", "newest", "uncertain", "id"];
/** Those that are by a field. */
const BY_FIELD = ["label", "uncertain"];

/** The collection in the order that the address names; `where` are the filters. */
export function Browse({ params, where }) {
  const by = app.collection.fields.includes(params.get("by")) ? params.get("by") : labelField();
  const orders = ORDERS.filter((each) => by || !BY_FIELD.includes(each));
  const order = orders.includes(params.get("order")) ? params.get("order") : orders[0];
  const list = useListing({ order, where, by: BY_FIELD.includes(order) ? by : null });
  const selection = useSelection(JSON.stringify([order, by, where]), list);
  const { total, error } = list;
  if (!app.collection.count) return html`<section class="results"><${Remark}>${t("search.empty")}<//></section>`;
  const note = {
    time: ({ time }) => time && moment(time),
    newest: ({ time }) => time && moment(time),
    uncertain: ({ confidence }) => confidence !== null && percent(confidence, 0),
  }[order];
  return html`<section class="results" aria-label=${t("browse.all")} aria-busy=${total === null && !error ? "true" : null}>
    <div class="list-head">
      <p class="soft status">${total !== null && t("search.all", { count: total })}</p>
      <${Orders} order=${order} orders=${orders} by=${by} />
    </div>
    ${error && html`<${ProblemBox} error=${error} again=${() => list.reload()} />`}
    ${total === null && !error && html`<${Waiting} />`}
    ${total === 0 && html`<${Remark}>${t("search.nothing")}<//>`}
    ${total > 0 &&
    html`<${Gallery}
      label=${t("browse.all")}
      list=${list}
      selection=${selection}
      caption=${note ? 84 : 62}
      kind="browsed"
      heading=${order === "label" ? (group) => html`<${Heading} group=${group} />` : null}
      note=${note}
    />`}
    <${Chosen} selection=${selection} list=${list} />
  </section>`;
}

function Orders({ order, orders, by }) {
  const chosenBy = ({ currentTarget: { value } }) => {
    chooseLabelField(value);
    change({ by: value });
  };
  return html`<div class="option-list">
    <${Select}
      label=${t("browse.order")}
      options=${orders.map((each) => [each, t(`browse.${each}`)])}
      chosen=${order}
      onchange=${(event) => change({ order: event.currentTarget.value })}
    />
    ${BY_FIELD.includes(order) &&
    app.collection.fields.length > 1 &&
    html`<${Select} label=${t("browse.by")} options=${fieldOptions()} chosen=${by} onchange=${chosenBy} />`}
  </div>`;
}

function Heading({ group: { value, count } }) {
  return html`<${Value} value=${value} longest=${60} /> <span class="count">${t("search.all", { count })}</span>`;
}
