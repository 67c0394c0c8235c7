// The page of the inspector. It shows what the JSON says, and makes all elements by hand: no text becomes markup.
const address = document.body.dataset.address;
const byId = (id) => document.getElementById(id);
const requests = new Map(); // by id, oldest first
let isPaused = false;
let keep = 100;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map((child) =>
    child instanceof Node ? child : String(child)));
  return made;
}

const milliseconds = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 2 : 0)} ms`);
const bytes = (value) => (value >= 1048576 ? `${(value / 1048576).toFixed(1)} MiB` : value >= 1024 ? `${(value / 1024).toFixed(1)} KiB` : `${value} B`);
const place = (one) => one.path + (one.query ? `?${one.query}` : "");

async function load(path) {
  const response = await fetch(address + path, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${response.status}`);
  return response.json();
}

function say(text) { byId("state").textContent = text; }

// ---------------------------------------------------------------- the list

function row(one) {
  const outcome = one.outcome === "complete" ? "" : ` ${one.outcome}`;
  const database = one.db_statements ? `${one.db_statements} in ${milliseconds(one.db_ms)}` : "–";
  return element("tr", {},
    element("td", { class: "path" }, element("span", { class: "quiet" }, `${one.method} `),
      element("a", { href: `#/requests/${one.id}` }, place(one)),
      one.error ? element("div", { class: "bad" }, one.error) : null),
    element("td", { class: `s${String(one.status)[0]}` }, `${one.status}${outcome}`),
    element("td", { class: "number" }, milliseconds(one.duration_ms)),
    element("td", { class: "number extra" }, database),
    element("td", { class: "extra" }, one.route ?? "–"),
    element("td", { class: "extra" }, one.answered_by),
    element("td", { class: "extra" }, one.session ?? "–"),
    element("td", { class: "number extra" }, bytes(one.bytes)));
}

function matches(one, wanted) {
  return !wanted || [one.method, place(one), one.status, one.route, one.outcome, one.error].join(" ").toLowerCase().includes(wanted);
}

function drawList() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const shown = [...requests.values()].reverse().filter((one) => matches(one, wanted));
  byId("rows").replaceChildren(...shown.map(row));
  byId("empty").hidden = shown.length > 0;
  byId("empty").textContent = requests.size ? "No request matches the filter." : "No request yet. Open a page of the site.";
}

function add(one) {
  requests.set(one.id, one);
  while (requests.size > keep) requests.delete(requests.keys().next().value);
}

async function loadList() {
  try {
    const listed = await load("/requests.json");
    keep = Math.max(keep, listed.length);
    for (const one of listed.reverse()) add(one);
    if (!isPaused) { drawList(); say("Live"); }
  } catch (error) {
    say("Not connected");
  }
}

// ---------------------------------------------------------------- one request

function facts(pairs) {
  return element("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function table(title, heads, rows) {
  if (!rows.length) return [];
  return [element("h3", {}, title), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
    element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell)))))))];
}

function flame(one) {
  const total = Math.max(one.duration_ms, 0.001);
  const bars = new Map(one.layers.map((layer) => [layer.name, []])); // outermost first
  for (const span of one.spans) {
    bars.get(span.layer).push(span);
  }
  const lines = [...bars].map(([layer, spans]) => line(layer, spans.map((span) => ({
    start: span.start_ms, ms: span.ms, kind: span.hook.startsWith("before") ? "in" : "out", text: `${span.hook}: ${milliseconds(span.ms)}`,
  })), total));
  const ins = one.spans.filter((span) => span.hook.startsWith("before"));
  const start = Math.max(0, ...ins.map((span) => span.start_ms + span.ms));
  lines.push(line("application", [{ start, ms: one.application_ms, kind: "app", text: `application: ${milliseconds(one.application_ms)}` }], total));
  return [element("h3", {}, "Time"), element("ol", { class: "flame" }, ...lines),
    element("p", { class: "legend" }, element("i", {}), "on the way in", element("i", { class: "out" }), "on the way out",
      element("i", { class: "app" }), "the application")];
}

function line(name, spans, total) {
  const track = element("span", { class: "track" });
  for (const span of spans) {
    const bar = element("span", { class: `bar ${span.kind}`, title: span.text });
    bar.style.left = `${Math.min(99.5, (100 * span.start) / total)}%`;
    bar.style.width = `${Math.max(0.2, (100 * span.ms) / total)}%`;
    track.append(bar);
  }
  const sum = spans.reduce((all, span) => all + span.ms, 0);
  return element("li", {}, element("span", { class: "name" }, name), track, element("span", { class: "number" }, milliseconds(sum)));
}

function copyButton(text) {
  const button = element("button", { type: "button" }, "Copy as curl");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch (error) {
      say("Copy it from the text below");
    }
  });
  return button;
}

function drawDetail(one) {
  const keys = Object.entries(one.session.keys ?? {});
  byId("detail").replaceChildren(
    element("p", {}, element("a", { href: "#/" }, "← All requests")),
    element("h2", { id: "detail-title", tabindex: "-1" }, `${one.method} ${place(one)}`),
    facts([["Status", one.status], ["Outcome", one.outcome], ["Total", milliseconds(one.duration_ms)],
      ["Application", milliseconds(one.application_ms)], ["Sent", bytes(one.bytes)], ["Route", one.route],
      ["Answered by", one.answered_by], ["Database", one.db_statements ? `${one.db_statements} statements in ${milliseconds(one.db_ms)}` : null],
      ["Commit", one.is_committed ? "begun" : null], ["Session", one.session.use], ["Request id", one.request_id], ["Time", one.time]]),
    ...(one.error ? [element("h3", {}, "Error"), element("p", { class: "bad" }, one.error.text),
      element("pre", { tabindex: "0" }, one.error.traceback)] : []),
    ...flame(one),
    ...table("Layers", ["Layer", "In", "Out", "Changes"], one.layers.map((layer) =>
      [layer.name, milliseconds(layer.in_ms), milliseconds(layer.out_ms), layer.changes.join(", ")])),
    ...(one.left_out.length ? [element("p", { class: "quiet" }, `Outside of their scope: ${one.left_out.join(", ")}`)] : []),
    ...table("Database and stores", ["Time", "Statement", "Line"], one.statements.map((each) => [milliseconds(each.ms),
      element("span", {}, element("code", {}, each.text), " ",
        each.repeated > 1 ? element("span", { class: "repeated" }, `${each.repeated} times`) : null,
        each.error ? element("div", { class: "bad" }, each.error) : null),
      element("code", {}, each.line)])),
    ...table("Decisions", ["What", "Decision"], [...Object.entries(one.decisions), ...Object.entries(one.policy).map(([name, value]) => [`policy ${name}`, value])]),
    ...table("Session", ["Key", "Value"], keys),
    ...table("Log", ["At", "Level", "Logger", "Text"], one.logs.map((each) => [milliseconds(each.start_ms), each.level, each.logger, each.text])),
    ...table("Request headers", ["Name", "Value"], one.request.headers),
    ...table("Response headers", ["Name", "Value"], one.response.headers),
    element("h3", {}, "Send it again"), copyButton(one.request.curl), element("pre", { tabindex: "0" }, one.request.curl));
  byId("detail-title").focus();
}

async function showDetail(id) {
  try {
    drawDetail(await load(`/requests/${id}.json`));
  } catch (error) {
    byId("detail").replaceChildren(element("p", {}, element("a", { href: "#/" }, "← All requests")),
      element("h2", { id: "detail-title", tabindex: "-1" }, "This request isn't kept any more"));
  }
}

// ---------------------------------------------------------------- running requests

async function drawRunning() {
  if (byId("running").hidden || isPaused) return;
  try {
    const seen = await load("/in-flight.json");
    const list = seen.requests.map((one) => element("article", {},
      element("h3", {}, `${one.method} ${one.path}`),
      element("p", { class: "quiet" }, `${milliseconds(one.age_ms)} so far, ${one.statements} statements, thread ${one.thread}`),
      element("pre", { tabindex: "0" }, one.stack.join("\n"))));
    byId("running-list").replaceChildren(
      ...(list.length ? list : [element("p", {}, "No request is running.")]),
      element("h3", {}, "Threads"), element("p", {}, seen.threads.join(", ")));
  } catch (error) {
    say("Not connected");
  }
}

// ---------------------------------------------------------------- which view

function show() {
  const [, view, id] = location.hash.split("/");
  byId("requests").hidden = view === "running" || view === "requests";
  byId("running").hidden = view !== "running";
  byId("detail").hidden = view !== "requests";
  byId("nav-requests").toggleAttribute("aria-current", view !== "running");
  byId("nav-running").toggleAttribute("aria-current", view === "running");
  if (view === "requests") showDetail(encodeURIComponent(id));
  if (view === "running") drawRunning();
}

byId("filter").addEventListener("input", drawList);
byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  say(isPaused ? "Paused" : "Live");
  if (!isPaused) drawList();
});
window.addEventListener("hashchange", show);
setInterval(drawRunning, 2000);
show();
loadList().then(() => {
  if (document.body.dataset.live !== "events") return setInterval(loadList, 2000);
  const stream = new EventSource(`${address}/events`);
  let wasLost = false;
  stream.addEventListener("message", (event) => { add(JSON.parse(event.data)); if (!isPaused) drawList(); });
  stream.addEventListener("open", () => { if (!isPaused) say("Live"); if (wasLost) { wasLost = false; loadList(); } });
  stream.addEventListener("error", () => { wasLost = true; });
});
