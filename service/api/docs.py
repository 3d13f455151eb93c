"""The documentation as a page of our own: it asks for a key and shows openapi.json, with nothing from outside."""

import base64
import hashlib

from flask import Response

_SCRIPT = """
"use strict";
const make = (tag, text, parent) => {
  const node = document.createElement(tag);
  node.textContent = text || "";
  parent.append(node);
  return node;
};
const named = (node) => (node && node.$ref ? node.$ref.split("/").pop() : "");
const shape = (content) => {
  const media = content && content["application/json"];
  return media && media.schema ? named(media.schema) || media.schema.type || "" : "";
};
function route(path, method, told, parent) {
  const box = make("details", "", parent);
  const head = make("summary", "", box);
  make("b", method.toUpperCase(), head);
  make("code", " " + path, head);
  make("span", " " + (told.summary || ""), head);
  if (told.description) make("p", told.description, box);
  const list = make("ul", "", box);
  for (const item of told.parameters || [])
    make("li", (item.name || named(item)) + (item.in ? " (" + item.in + ")" : ""), list);
  if (told.requestBody) make("li", "body: " + shape(told.requestBody.content), list);
  for (const [status, answer] of Object.entries(told.responses || {}))
    make("li", status + ": " + (shape(answer.content) || answer.description || named(answer)), list);
}
function show(spec) {
  const out = document.getElementById("out");
  out.replaceChildren();
  make("h2", "Routes", out);
  for (const [path, methods] of Object.entries(spec.paths))
    for (const [method, told] of Object.entries(methods))
      if (!Array.isArray(told)) route(path, method, told, out);
  make("h2", "Shapes", out);
  for (const [name, schema] of Object.entries((spec.components || {}).schemas || {})) {
    const box = make("details", "", out);
    make("summary", name, box);
    make("pre", JSON.stringify(schema, null, 2), box);
  }
}
document.getElementById("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = document.getElementById("said");
  said.textContent = "";
  const key = document.getElementById("key").value;
  try {
    const answer = await fetch("openapi.json", { headers: { Authorization: "Bearer " + key } });
    const body = await answer.json();
    if (answer.ok) show(body);
    else said.textContent = body.detail;
  } catch (fault) {
    said.textContent = String(fault);
  }
});
"""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border-top: 1px solid #ccc; padding: .3rem 0; } summary { cursor: pointer; }
pre { overflow: auto; background: #f4f4f4; padding: .5rem; } #said { color: #a00; }
"""
_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sekisu API</title><style>{_STYLE}</style>
<h1>Sekisu API</h1>
<form id="ask"><label>API key <input id="key" type="password" autocomplete="off" required></label>
<button>Show</button> <span id="said" role="status"></span></form>
<div id="out"></div>
<script>{_SCRIPT}</script></html>
"""


def _hashed(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


#: Nothing runs on the page but the script above, and it may only talk to us.
_POLICY = (
    f"default-src 'none'; script-src {_hashed(_SCRIPT)}; style-src {_hashed(_STYLE)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page() -> Response:
    """The page; it holds no data, so it needs no key."""
    return Response(_PAGE, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})
