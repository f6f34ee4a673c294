// The page at /: it makes the five calls that its forms describe, shows the
// command that does the same, and follows the state of the node.
"use strict";

const $ = (id) => document.getElementById(id);

// Where the node is: a proxy may serve it under a path.
const base = new URL(".", location.href).href.replace(/\/$/, "");

// Most of an answer that is shown: a whole chain can be larger than a browser
// wants to draw.
const maxShown = 200_000;

// ---- JSON as text -----------------------------------------------------------
// Answers are laid out from their text, not from parsed values: a browser's
// numbers would lose digits of large amounts.

function parseTokens(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  let at = 0;
  function value() {
    const token = tokens[at++];
    if (token !== "{" && token !== "[") return token;
    const end = token === "{" ? "}" : "]";
    const node = { open: token, close: end, items: [] };
    while (at < tokens.length && tokens[at] !== end) {
      if (tokens[at] === ",") { at++; continue; }
      const first = value();
      if (tokens[at] === ":") {
        at++;
        node.items.push({ key: first, value: value() });
      } else {
        node.items.push({ value: first });
      }
    }
    at++;
    return node;
  }
  return value();
}

const flat = (node) => typeof node === "string" ? node
  : node.open + node.items.map((i) => (i.key ? i.key + ": " : "") + flat(i.value)).join(", ") + node.close;

function span(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

// draw appends a value to out: in one line where it is short.
function draw(out, node, indent, oneLine) {
  if (typeof node === "string") {
    out.append(span(node.startsWith('"') ? "string" : "number", node));
    return;
  }
  const inner = oneLine || flat(node).length + indent.length <= 100 && !node.items.some((i) => typeof i.value !== "string");
  out.append(node.open);
  node.items.forEach((item, i) => {
    if (i > 0) out.append(inner ? ", " : ",");
    if (!inner) out.append("\n" + indent + "  ");
    if (item.key) out.append(span("key", item.key), ": ");
    draw(out, item.value, indent + "  ", inner);
  });
  if (!inner && node.items.length) out.append("\n" + indent);
  out.append(node.close);
}

// ---- calls ------------------------------------------------------------------

// jsonValue is what a field stands for in a body: a number as it was typed, so
// that the node judges every digit; anything else as a string.
function jsonValue(input) {
  const isNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(input.value);
  return input.dataset.kind === "number" && isNumber ? input.value : JSON.stringify(input.value);
}

// describe returns the request that a call's form stands for.
function describe(call) {
  const form = call.querySelector("form");
  const given = (names) => (names || "").split(" ").filter((name) => name && form[name].value !== "");
  const query = new URLSearchParams(given(call.dataset.query).map((name) => [name, form[name].value])).toString();
  const request = { method: call.dataset.method, url: base + call.dataset.path + (query && "?" + query) };
  if (call.dataset.body) {
    const pairs = given(call.dataset.body).map((name) => JSON.stringify(name) + ": " + jsonValue(form[name]));
    request.body = "{" + pairs.join(", ") + "}";
  }
  return request;
}

const shellQuote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

function curlLine(request) {
  const url = /[?&]/.test(request.url) ? shellQuote(request.url) : request.url;
  const token = $("token").value ? ' -H "Authorization: Bearer $TOKEN"' : "";
  if (!request.body) return "curl " + url + token;
  return "curl " + url + token + " -H 'Content-Type: application/json' -d " + shellQuote(request.body);
}

// readSome reads an answer up to what can be shown.
async function readSome(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text, whole: true };
    text += decoder.decode(value, { stream: true });
    if (text.length > maxShown) {
      reader.cancel();
      return { text: text.slice(0, maxShown), whole: false };
    }
  }
}

async function send(call, signal) {
  const request = describe(call);
  const headers = {};
  if (request.body) headers["Content-Type"] = "application/json";
  if ($("token").value) headers["Authorization"] = "Bearer " + $("token").value;
  const response = await fetch(request.url, { method: request.method, headers, body: request.body, signal });
  if (response.status === 401) {
    $("token-form").hidden = false;
    $("token").focus();
  }
  return { response, ...await readSome(response) };
}

function show(call, outcome, text, whole, ok) {
  const answer = call.querySelector(".answer");
  answer.hidden = false;
  answer.classList.toggle("refused", !ok);
  answer.querySelector(".outcome").textContent = outcome;
  const pre = answer.querySelector("pre");
  pre.hidden = text === "";
  pre.replaceChildren();
  const isJSON = whole && /^\s*[{[]/.test(text);
  if (isJSON) draw(pre, parseTokens(text), "", false);
  else pre.append(text);
  if (!whole) pre.append("\n… there is more; the command above gives all of it.");
}

async function run(call, abort) {
  const began = performance.now();
  try {
    const { response, text, whole } = await send(call, abort.signal);
    const took = Math.round(performance.now() - began);
    const words = response.ok ? "" : " " + response.statusText;
    show(call, `${response.status}${words} · ${took} ms`, text, whole, response.ok);
  } catch (error) {
    const stopped = error.name === "AbortError";
    show(call, stopped ? "Stopped" : "The node does not answer", stopped ? "" : String(error), true, false);
  }
}

function setUp(call) {
  call.append($("answer").content.cloneNode(true));
  const form = call.querySelector("form");
  const button = form.querySelector("button");
  const label = button.textContent;
  const line = call.querySelector(".curl code");
  const copy = call.querySelector(".copy");
  const refresh = () => { line.textContent = curlLine(describe(call)); };
  let abort = null;

  form.addEventListener("input", refresh);
  $("token").addEventListener("input", refresh);
  refresh();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (abort) {
      abort.abort();
      return;
    }
    abort = new AbortController();
    button.textContent = "Stop";
    button.classList.add("running");
    await run(call, abort);
    abort = null;
    button.textContent = label;
    button.classList.remove("running");
    follow();
  });
  copy.hidden = !navigator.clipboard; // not there in plain http off this machine
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(line.textContent);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
}

// ---- state of the node ------------------------------------------------------

const blocksShown = 7;
let shownTip = "";

async function get(path) {
  const response = await fetch(base + path);
  if (!response.ok) throw new Error(path + ": " + response.status);
  return response.json();
}

const plural = (n, word) => n + " " + word + (n === 1 ? "" : "s");

function drawBlock(block, hash) {
  const item = document.createElement("li");
  const title = document.createElement("b");
  title.textContent = block.index === 0 ? "Genesis" : "Block " + block.index;
  const count = block.index === 0 ? "no transactions" : plural(block.transactions.length, "transaction");
  item.append(title, count, document.createElement("br"), span("mono", hash ? "…" + hash.slice(-8) : ""));
  item.title = hash ? "hash " + hash : "";
  return item;
}

async function drawBlocks(status) {
  const from = Math.max(0, status.height - blocksShown + 1);
  const { chain } = await get(`/chain?from=${from}&limit=${blocksShown}`);
  // A block's hash is what the next block names as its previous one.
  $("blocks").replaceChildren(...chain.map((block, i) =>
    drawBlock(block, i + 1 < chain.length ? chain[i + 1].previous_hash : block.index === status.height ? status.tip : "")));
  $("blocks").scrollLeft = $("blocks").scrollWidth;
}

async function follow() {
  try {
    const status = await get("/v1/status");
    $("network").textContent = status.network;
    $("height").textContent = status.height.toLocaleString("en");
    $("pool").textContent = status.pool.transfers.toLocaleString("en");
    $("neighbours").textContent = status.neighbours;
    $("address").textContent = status.node_address || "none: this node does not mine";
    $("version").textContent = "version " + status.version;
    document.title = `Cairn · ${status.network} · ${status.height}`;
    if (status.tip !== shownTip) {
      await drawBlocks(status);
      shownTip = status.tip;
    }
    $("trouble").hidden = true;
  } catch {
    $("trouble").textContent = "The node does not answer at the moment.";
    $("trouble").hidden = false;
  }
}

document.querySelectorAll(".call").forEach(setUp);
$("token-form").addEventListener("submit", (event) => event.preventDefault());
follow();
setInterval(() => { if (!document.hidden) follow(); }, 3000);
