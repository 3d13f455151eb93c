"use strict";

// The key lives in this tab. `#key=...` hands it over once; a fragment never reaches a server, and is dropped at once.
const STORE = "sekisu-key";
const $ = (id) => document.getElementById(id);

// The house's words, Japanese first: [ja, en].
const STATUS = {
  queued: ["送信待ち", "queued", "wait"], held: ["保留", "held", "wait"], sending: ["送信中", "sending", "wait"],
  pending: ["処理中", "pending", "wait"], succeeded: ["支払済", "paid", "good"], failed: ["失敗", "failed", "bad"],
  unknown: ["確認中", "unknown", "wait"], cancelled: ["取消", "cancelled", "idle"],
};
const COLLECT = {
  shadow: ["試算のみ・請求なし", "shadow: nothing is charged"], paused: ["請求を停止中", "collection paused"],
};
const STATE = {
  free: "無料プラン", trialing: "試用中", active: "契約中", past_due: "支払遅延", cancelling: "解約予定",
  suspended: "停止中", ended: "終了", closed: "解約済",
};
const MEMBER_STATE = { joined: ["参加中", "joined"], pending: ["招待中", "invited"], deactivated: ["無効化", "deactivated"] };
const RULES = {
  "TR-01": ["ワークスペースのメンバー", "member of the workspace"],
  "TR-02": ["2つ以上のボードのゲスト", "guest on two or more boards"],
  "TR-06": ["席は期間末まで再利用できる", "a seat is reusable until the period ends"],
  "TR-08": ["空席がないため残り期間分を追加", "no vacant seat: one more for the rest of the period"],
  "TR-09": ["更新時は使用席数まで減る", "a renewal is for the occupied seats"],
  "TR-15": ["ボード1つだけのゲスト", "guest on one board only"],
  "TR-18": ["招待中（アカウント未作成）", "invited, no account yet"],
  "TR-19": ["無効化されたメンバー", "deactivated member"],
  "TR-22": ["前払い", "paid in advance"],
  "A-05": ["閉じたボードのみ", "on closed boards only"],
  "B-04": ["ゲストが無料のプラン", "guests are free in this plan"],
  "XX-02": ["プランの方式で日割り", "prorated by the plan's method"],
  "XX-10": ["その日に有効な単価", "the price valid on that day"],
};
const FACTS = {
  "member.joined": "参加", "member.left": "退出", "member.invited": "招待", "member.deactivated": "無効化",
  "member.reactivated": "再有効化", "board.member_added": "ボードに参加", "board.member_removed": "ボードから退出",
  "subscription.started": "契約開始",
};

// Everything told by the server becomes text, never markup.
function make(tag, parent, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (kind) node.className = kind;
  if (parent) parent.append(node);
  return node;
}
function both(parent, words, fallback) {
  const [ja, en] = words || [fallback || "", ""];
  parent.append(ja);
  if (en) { parent.append(" "); make("span", parent, en).lang = "en"; }
  return parent;
}
function stacked(parent, [ja, en]) {
  parent.append(ja);
  make("small", parent, en).lang = "en";
}
const chip = (parent, words, fallback, kind) => both(make("span", parent, "", "chip " + kind), words, fallback);

function rule(parent, id) {
  const node = make("span", parent, id, "rule");
  if (RULES[id]) node.title = RULES[id].join(" / ");
  return node;
}
function money(amount, currency) {
  try {
    const form = new Intl.NumberFormat("ja-JP", { style: "currency", currency });
    return form.format(amount / 10 ** form.resolvedOptions().maximumFractionDigits);
  } catch { return `${amount} ${currency || ""}`; }
}
function day(parent, instant, zone) {
  if (!instant) return parent;
  const form = { year: "numeric", month: "2-digit", day: "2-digit", timeZone: zone };
  parent.append(new Date(instant).toLocaleDateString("ja-JP", form));
  parent.title = instant;
  return parent;
}

class Refusal extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}
async function ask(path) {
  const answer = await fetch("v1/" + path, { headers: { Authorization: "Bearer " + sessionStorage.getItem(STORE) } });
  const body = await answer.json().catch(() => ({ detail: `the answer ${answer.status} is not JSON` }));
  if (!answer.ok) throw new Refusal(answer.status, body.detail || String(answer.status));
  return body;
}
const say = (text) => { $("said").textContent = text; };
function complain(fault) {
  if (fault.status === 401) { leave(); say("このキーは使えません。 This key is not known."); }
  else say(fault.message);
}

// A section with a table, filled page by page.
async function list(place, words, path, heads, fill) {
  const section = make("section", place);
  both(make("h3", section), words);
  const sheet = make("div", section, "", "sheet");
  const table = make("table", sheet);
  const row = make("tr", make("thead", table));
  for (const [ja, en, kind] of heads) both(make("th", row, "", kind), [ja, en]).scope = "col";
  const body = make("tbody", table);
  const more = make("button", sheet, "", "more");
  both(more, ["さらに表示", "More"]);
  let cursor = "";
  const load = async () => {
    const page = await ask(path + (cursor && "?cursor=" + encodeURIComponent(cursor)));
    for (const item of page.data) fill(body, item);
    cursor = page.next;
    more.hidden = !cursor;
    if (!body.firstChild) { table.hidden = true; both(make("p", sheet, "", "none"), ["まだありません", "none yet"]); }
  };
  more.addEventListener("click", () => load().catch(complain));
  await load();
}

// "Why?": opens the explanation of a ledger entry below the row that holds the button.
function why(cell, row, entryId, width) {
  if (!entryId) return;
  const button = make("button", cell, "", "why");
  both(button, ["理由", "Why?"]);
  button.setAttribute("aria-expanded", "false");
  let told = null;
  const open = async () => {
    if (told) { told.remove(); told = null; button.setAttribute("aria-expanded", "false"); return; }
    const explained = await ask(`ledger/${encodeURIComponent(entryId)}/explanation`);
    told = make("tr", null, "", "told");
    const box = make("td", told);
    box.colSpan = width;
    explain(box, explained);
    row.after(told);
    button.setAttribute("aria-expanded", "true");
  };
  button.addEventListener("click", () => open().catch(complain));
}
function explain(box, told) {
  const unit = money(told.unit_amount, told.currency);
  const part = told.fraction === "1" ? "" : ` × ${told.fraction}`;
  make("p", box, `${unit} × ${told.seats}席${part} = ${money(told.line_amount ?? told.amount, told.currency)}`, "sum");
  make("p", box, told.text.ja);
  make("p", box, told.text.en).lang = "en";
  const facts = make("ul", box);
  for (const fact of told.facts) {
    const item = make("li", facts);
    item.append(`${FACTS[fact.kind] || fact.kind} ${fact.at} `);
    make("code", item, `${fact.source} ${fact.source_id}`);
    if (fact.heard_at !== fact.at) item.append(` 受信 ${fact.heard_at}`);
  }
  const rules = make("li", facts);
  for (const id of told.rules) { rule(rules, id); if (RULES[id]) rules.append(RULES[id][0] + " "); }
}
function describe(cell, line) {
  const unit = money(line.unit_amount, line.currency);
  const ja = line.kind === "period" ? `${line.seats}席（期間全額・1席 ${unit}）`
    : line.kind === "seats_added" ? `${line.seats}席を追加（期間の${line.fraction}・1席 ${unit}）` : line.kind;
  cell.append(ja);
  make("small", cell, line.description).lang = "en";
}

function seats(place, told, zone) {
  const box = make("dl", place, "", "seats");
  const one = (words, value) => {
    const item = make("div", box);
    both(make("dt", item), words);
    return make("dd", item, value);
  };
  one(["購入席数", "purchased"], told.purchased);
  one(["使用席数", "occupied"], told.occupied);
  one(["空席", "vacant"], told.vacant);
  const next = told.next_renewal;
  const renewal = one(["次回更新", "next renewal"], next ? money(next.amount, next.currency) : "—");
  if (next) day(make("small", renewal, `${next.seats}席・`), next.at, zone);
}
function title(place, told) {
  const head = make("div", place, "", "title");
  make("h2", head, told.name);
  if (COLLECT[told.collect]) chip(head, COLLECT[told.collect], "", "wait");
  if (told.pending) chip(head, [`処理中 ${told.pending}件`, "on its way"], "", "wait");
  const line = day(make("p", head, `${told.tool} · ${STATE[told.state] || told.state} · ${told.time_zone} · 現在 `), told.now, told.time_zone);
  if (told.clock_id) both(make("span", line), ["（テスト時計）", "test clock"]);
}

function people(place, id, zone) {
  const heads = [["名前", "name"], ["課金", "classification"], ["適用ルール", "rule"], ["状態", "state"], ["ボード", "boards", "number"], ["以降", "since", "day"]];
  return list(place, ["メンバー", "Members"], `workspaces/${id}/members`, heads, (body, member) => {
    const row = make("tr", body);
    const name = make("td", row, member.name || member.id);
    if (member.name) make("code", make("small", name), member.id);
    const billable = member.classification === "billable";
    chip(make("td", row), billable ? ["課金対象", "billable"] : ["無料", "free"], "", billable ? "good" : "idle");
    const cause = make("td", row);
    rule(cause, member.rule);
    if (RULES[member.rule]) stacked(cause, RULES[member.rule]);
    stacked(make("td", row), MEMBER_STATE[member.state] || [member.state, ""]);
    make("td", row, member.boards.length, "number");
    day(make("td", row, "", "day"), member.since, zone);
  });
}
function charges(place, id, zone) {
  const heads = [["請求日", "due on", "day"], ["内容", "lines"], ["状態", "status"], ["金額", "amount", "number"], ["", "", "last"]];
  return list(place, ["請求", "Charges"], `workspaces/${id}/charges`, heads, (body, charge) => {
    const row = make("tr", body);
    day(make("td", row, "", "day"), charge.due_on + "T00:00:00Z", "UTC");
    const what = make("td", row);
    const status = make("td", row);
    chip(status, STATUS[charge.status], charge.status, (STATUS[charge.status] || ["", "", "idle"])[2]);
    if (charge.held_reason) make("small", status, charge.held_reason);
    make("td", row, money(charge.amount, charge.currency), "number");
    const reasons = make("td", row, "", "number");
    for (const line of charge.lines) {
      describe(make("div", what), line);
      why(make("div", reasons), row, line.entry_id, heads.length);
    }
  });
}
function ledger(place, id, zone) {
  const heads = [["発生日", "instant", "day"], ["明細", "line"], ["適用ルール", "rules"], ["金額", "amount", "number"], ["", "", "last"]];
  return list(place, ["台帳", "Ledger"], `workspaces/${id}/ledger`, heads, (body, entry) => {
    const row = make("tr", body);
    day(make("td", row, "", "day"), entry.instant, zone);
    describe(make("td", row), entry);
    const rules = make("td", row);
    for (const name of entry.rules) rule(rules, name);
    make("td", row, money(entry.amount, entry.currency), "number");
    why(make("td", row, "", "number"), row, entry.entry_id, heads.length);
  });
}

let shown = "";
async function show(id) {
  shown = id;
  for (const button of $("workspaces").querySelectorAll("button"))
    button.dataset.id === id ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
  const path = encodeURIComponent(id);
  const [workspace, counts] = await Promise.all([ask(`workspaces/${path}`), ask(`workspaces/${path}/seats`)]);
  const page = document.createDocumentFragment();
  title(page, workspace);
  seats(page, counts, workspace.time_zone);
  const parts = [people, charges, ledger].map((part) => {
    const place = make("div", page);
    return part(place, path, workspace.time_zone);
  });
  await Promise.all(parts);
  if (shown === id) $("workspace").replaceChildren(page); // not when another one was chosen meanwhile
}
async function open() {
  say("");
  const items = document.createDocumentFragment();
  let cursor = "", first = "";
  do {
    const page = await ask("workspaces?limit=1000" + (cursor && "&cursor=" + encodeURIComponent(cursor)));
    for (const workspace of page.data) {
      first = first || workspace.id;
      const button = make("button", make("li", items), workspace.name);
      button.dataset.id = workspace.id;
      make("small", button, `${workspace.tool} · ${STATE[workspace.state] || workspace.state}`);
      button.addEventListener("click", () => { say(""); show(workspace.id).catch(complain); });
    }
    cursor = page.next;
  } while (cursor);
  $("workspaces").replaceChildren(items);
  for (const name of ["house", "reload", "leave"]) $(name).hidden = false;
  $("door").hidden = true;
  const known = [...$("workspaces").querySelectorAll("button")].some((button) => button.dataset.id === shown);
  if (first) await show(known ? shown : first);
  else $("workspace").replaceChildren(both(make("p"), ["ワークスペースはまだありません", "no workspaces yet"]));
}
function leave() {
  sessionStorage.removeItem(STORE);
  for (const name of ["house", "reload", "leave"]) $(name).hidden = true;
  $("workspace").replaceChildren();
  $("door").hidden = false;
  $("key").focus();
}
function enter(key) {
  sessionStorage.setItem(STORE, key);
  open().catch(complain);
}
function handedOver() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return false;
  history.replaceState(null, "", location.pathname);
  enter(key);
  return true;
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("key").value.trim());
  $("key").value = "";
});
$("leave").addEventListener("click", () => { say(""); leave(); });
$("reload").addEventListener("click", () => open().catch(complain));
addEventListener("hashchange", handedOver);
if (!handedOver() && sessionStorage.getItem(STORE)) open().catch(complain);
