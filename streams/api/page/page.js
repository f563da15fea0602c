// The operator's page: no build step, nothing from elsewhere. Text from the API only ever becomes text nodes.
"use strict";

const view = document.getElementById("view");
const fresh = document.getElementById("fresh");
let token = sessionStorage.getItem("token") || "";
let drawn = 0; // of two answers that cross, the later question wins
let searching = false; // the next view that is drawn begins in its search field

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value !== undefined && value !== "") node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== "" && child !== null && child !== undefined));
  return node;
}

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers });
  const body = await answer.json();
  if (answer.status === 401) { await login(); return ask(path); }
  if (!answer.ok) throw new Error(body.detail || body.title);
  const newest = body.newest_record ? new Date(body.newest_record) : null;
  const behind = newest ? Math.max(0, (new Date(body.as_of) - newest) / 1000) : null;
  fresh.textContent = newest === null ? "no records yet" : body.partial ? "still reading; what you see is incomplete" : `newest record ${seconds(behind)} ago`;
  fresh.classList.toggle("stale", body.partial || newest === null || behind > 300);
  return body;
}

function login() {
  const dialog = document.getElementById("login");
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => {
    token = document.getElementById("token").value.trim();
    sessionStorage.setItem("token", token);
    done();
  }, { once: true }));
}

const seconds = (s) => s < 90 ? `${s.toFixed(0)} s` : s < 5400 ? `${(s / 60).toFixed(0)} min` : s < 172800 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(0)} d`;
const time = (ns) => new Date(ns / 1e6).toISOString().replace("T", " ").slice(0, 19) + "Z";
const ago = (ns) => `${seconds(Math.max(0, (Date.now() - ns / 1e6) / 1000))} ago`;
const number = (x) => Math.abs(x) >= 1e6 || (x !== 0 && Math.abs(x) < 0.001) ? x.toExponential(2) : Number(x.toPrecision(4)).toString();
const word = (text) => make("span", { class: `word ${text}` }, text);
const empty = (text) => make("p", { class: "empty" }, text);

function causes(incident, most) {
  return incident.causes.slice(0, most).map((cause, place) => make("div", {},
    make("p", { class: place ? "dim" : "cause" }, `${place ? `${place + 1}. ` : "Likely cause: "}${cause.kind} ${cause.place} (${cause.score.toFixed(2)})`),
    make("ul", { class: "dim" }, ...cause.reasons.map((reason) => make("li", {}, reason)))));
}

async function incidents() {
  const open = await ask("/api/v1/incidents?status=open&limit=200");
  const past = await ask("/api/v1/incidents?status=resolved&limit=20");
  const card = (incident) => make("a", { class: `card ${incident.status === "open" ? incident.severity : "resolved"}`, href: `#/incident/${incident.incident_id}` },
    word(incident.status === "open" ? incident.severity : incident.status), make("strong", {}, incident.title),
    incident.causes.length ? make("p", { class: "cause" }, `Likely cause: ${incident.causes[0].kind} ${incident.causes[0].place}`) : "",
    make("span", { class: "dim" }, `${incident.members.length} alerts of ${incident.services.length} services, began ${ago(incident.opened_at_ns)}${incident.environment ? `, ${incident.environment}` : ""}`));
  return [make("h1", {}, ["No open incident", "1 open incident"][open.incidents.length] ?? `${open.incidents.length} open incidents`),
    ...open.incidents.map(card), make("h2", {}, "Resolved"), ...(past.incidents.length ? past.incidents.map(card) : [empty("none")])];
}

async function incident(id) {
  const { incident: found } = await ask(`/api/v1/incidents/${id}`);
  const rows = [...found.members].sort((a, b) => a.starts_at_ns - b.starts_at_ns).map((member) => row(`#/alert/${member.fingerprint}`,
    time(member.starts_at_ns), member.ends_at_ns ? word("resolved") : word(member.severity), member.alertname, member.service, member.agent, member.why || "opened the incident", `${member.suppressed} ${member.suppressed_by}`.trim(), takeOut(found, member)));
  const of = found.services[0] ? `&service=${encodeURIComponent(found.services[0])}` : "";
  return [make("h1", {}, word(found.status === "open" ? found.severity : found.status), found.title), incidentActions(found), ...causes(found, 5),
    make("p", {}, make("a", { href: `#/traces?status=error${of}` }, "failed traces of what is affected"), " · ", make("a", { href: `#/logs?severity=WARN${of}` }, "its warnings and errors"), " · ", make("a", { href: "#/map" }, "service map")),
    make("h2", {}, "What happened, in order"), make("div", { class: "members" }, table(["began", "", "alert", "service", "agent", "why it belongs here", "not notified", ""], rows)),
    make("p", { class: "dim" }, `opened ${time(found.opened_at_ns)}, changed ${time(found.updated_at_ns)}${found.resolved_at_ns ? `, resolved ${time(found.resolved_at_ns)}` : ""}; reopened ${found.reopened} times${found.resolved_by ? `; resolved by ${found.resolved_by}` : ""}${found.merged_into ? "; merged into " : ""}`,
      found.merged_into ? make("a", { href: `#/incident/${found.merged_into}` }, "another incident") : "")];
}

async function alerts(query) {
  const state = query.get("state") || "firing";
  const { alerts: found } = await ask(`/api/v1/alerts?limit=200&state=${encodeURIComponent(state === "any" ? "" : state)}`);
  const rows = found.map((one) => row(`#/alert/${one.fingerprint}`, time(one.at_ns), word(one.state === "resolved" ? "resolved" : one.severity), one.alertname, one.annotations.summary || "", one.state));
  const pick = make("p", {}, ...["firing", "pending", "resolved", "any"].flatMap((name) => [make("a", { href: `#/alerts?state=${name}`, "aria-current": name === state ? "true" : undefined }, name), " "]));
  return [make("h1", {}, `Alerts: ${state}`), pick, found.length ? table(["changed", "", "alert", "what", "state"], rows) : empty("none")];
}

async function alert(id) {
  const { episodes } = await ask(`/api/v1/alerts/${id}`);
  const newest = episodes[0];
  const labels = Object.entries(newest.identity).filter(([name]) => name !== "alertname");
  return [make("h1", {}, word(newest.state === "resolved" ? "resolved" : newest.severity), newest.alertname), alertActions(newest), make("p", { class: "cause" }, newest.annotations.summary || ""),
    make("p", {}, newest.annotations.description || ""), make("p", { class: "dim" }, newest.annotations.runbook ? `runbook: ${newest.annotations.runbook}` : ""),
    table(["label", "value"], labels.map(([name, value]) => row("", name, value))), make("h2", {}, "Episodes"),
    table(["began", "ended", "state", "value", "threshold"], episodes.map((one) => row("", time(one.starts_at_ns), one.ends_at_ns ? time(one.ends_at_ns) : "", one.state, number(one.value), number(one.threshold))))];
}

function filter(base, names, choices, query) {
  const field = (name) => {
    if (!choices[name]) return make("input", { name, placeholder: name.replaceAll("_", " "), value: query.get(name) || "", "aria-label": name });
    const select = make("select", { name, "aria-label": name }, ...choices[name].map(([value, text]) => { const option = make("option", {}, text || value || `any ${name}`); option.value = value; return option; }));
    select.value = query.get(name) || "";
    return select;
  };
  const form = make("form", { class: "filter" }, ...names.map(field), make("button", {}, "Search"));
  form.addEventListener("submit", (event) => { event.preventDefault(); location.hash = `${base}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`; });
  return form;
}
const wanted = (names, query) => new URLSearchParams([...query].filter(([name, value]) => (names.includes(name) || name === "cursor") && value));

async function traces(query) {
  const names = ["text", "service", "agent_id", "status", "pattern", "min_duration_ms"];
  const asked = wanted(names, query);
  const { traces: found, next_cursor: next } = await ask(`/api/v1/traces?limit=50&${asked}`);
  const form = filter("#/traces", names, { status: [[""], ["ok"], ["error"]], pattern: ["", "fan_in", "hung", "loop", "orphans", "retry", "skew"].map((name) => [name]) }, query);
  const rows = found.map((one) => row(`#/trace/${one.trace_id}`, one.start.replace("T", " "), one.error_count ? word("critical") : word("ok"), `${one.service}: ${one.operation}`, `${number(one.duration_ms)} ms`, String(one.span_count)));
  asked.set("cursor", next);
  return [make("h1", {}, "Traces"), form, found.length ? table(["began", "", "root", "duration", "spans"], rows) : empty("no trace matches"), next ? make("a", { href: `#/traces?${asked}` }, "older") : ""];
}

async function trace(id) {
  const { trace: found } = await ask(`/api/v1/traces/${id}`);
  const path = new Set(found.critical_path.map((part) => part.span_id));
  const ids = new Set(found.spans.map((span) => span.spanId));
  const below = new Map();
  for (const span of found.spans) {
    const parent = ids.has(span.parentSpanId) && span.spanId !== found.root ? span.parentSpanId : "";
    below.set(parent, [...(below.get(parent) || []), span]);
  }
  const total = Math.max(1, found.end_ns - found.start_ns);
  const lines = [];
  const waiting = [...(below.get("") || [])].reverse().map((span) => [span, 0]);
  while (waiting.length && lines.length < 2000) {
    const [span, depth] = waiting.pop();
    const failed = (span.status || {}).code === 2;
    const bar = make("div", { class: `bar${failed ? " failed" : ""}` });
    bar.style.left = `${100 * (span.startTimeUnixNano - found.start_ns) / total}%`;
    bar.style.width = `${100 * (span.endTimeUnixNano - span.startTimeUnixNano) / total}%`;
    const service = (found.resources[span.resource] || {})["service.name"] || "";
    const name = make("div", { class: "name", title: failed ? span.status.message : "" }, `${service}: ${span.name}`);
    name.style.paddingLeft = `${Math.min(depth, 20) * 0.8}rem`;
    lines.push(make("div", { class: `span${path.has(span.spanId) ? " path" : ""}` }, name, make("div", { class: "track" }, bar), make("div", { class: "dim" }, `${number((span.endTimeUnixNano - span.startTimeUnixNano) / 1e6)} ms`)));
    waiting.push(...[...(below.get(span.spanId) || [])].reverse().map((child) => [child, depth + 1]));
  }
  const failures = found.failures.map((one) => make("li", {}, `${one.service}: ${one.name}: ${one.error_type} ${one.message}`));
  const loops = (found.loops || []).map((one) => make("li", {}, `${one.agent} called ${one.tool} ${one.calls} times with the same arguments`));
  return [make("h1", {}, found.trace_id), make("p", {}, `${time(found.start_ns)}, ${number(total / 1e6)} ms, ${found.span_count} spans of ${found.services.length} services, ${found.complete ? "complete" : "incomplete"}; the critical path is outlined`), make("p", {}, make("a", { href: `#/logs?trace_id=${found.trace_id}` }, "its logs")),
    failures.length ? make("ul", {}, ...failures) : "", loops.length ? make("ul", {}, ...loops) : "", ...lines];
}

async function anomalies() {
  const { anomalies: found } = await ask("/api/v1/anomalies?limit=200");
  const rows = found.map((one) => {
    const low = Math.min(one.lower, one.value), high = Math.max(one.upper, one.value), width = high - low || 1;
    const expected = make("div", { class: "expected" }), mark = make("div", { class: "value" });
    expected.style.left = `${100 * (one.lower - low) / width}%`; expected.style.width = `${100 * (one.upper - one.lower) / width}%`;
    mark.style.left = `${Math.min(99, 100 * (one.value - low) / width)}%`;
    const labels = Object.entries(one.labels).filter(([name]) => ["agent.id", "service.name"].includes(name)).map(([, value]) => value).join(" ");
    return [row("", time(one.end_ns), `${one.name} ${one.feature}`, labels, number(one.value), `${number(one.lower)} to ${number(one.upper)}`, make("div", { class: "band", title: "expected band and value" }, expected, mark), one.score.toFixed(4)),
      one.reason ? make("tr", {}, make("td", { colspan: "7", class: "dim" }, one.reason)) : ""];
  });
  return [make("h1", {}, "Anomalies"), found.length ? make("div", { class: "banded" }, table(["window", "what", "of", "value", "expected", "", "score"], rows.flat())) : empty("none")];
}

async function map() {
  const { nodes, edges } = await ask("/api/v1/topology");
  if (!nodes.length) return [make("h1", {}, "Service map"), empty("no calls in the last hour")];
  const spot = new Map(nodes.map((node, place) => { const angle = 2 * Math.PI * place / nodes.length - Math.PI / 2; return [node.service, [500 + 330 * Math.cos(angle), 300 + 220 * Math.sin(angle)]]; }));
  const svg = (tag, attributes, text) => { const node = document.createElementNS("http://www.w3.org/2000/svg", tag); Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value)); if (text) node.textContent = text; return node; };
  const picture = svg("svg", { viewBox: "0 0 1000 600", role: "img", "aria-label": "services and calls" });
  for (const edge of edges) {
    const [x1, y1] = spot.get(edge.client), [x2, y2] = spot.get(edge.server);
    const line = svg("line", { x1, y1, x2, y2, "stroke-width": Math.min(6, 1 + Math.log10(edge.calls + 1)), class: edge.failed / edge.calls > 0.05 ? "failing" : "" });
    line.append(svg("title", {}, `${edge.client} to ${edge.server}: ${edge.calls} calls, ${edge.failed} failed`));
    picture.append(line);
  }
  for (const [name, [x, y]] of spot) picture.append(svg("circle", { cx: x, cy: y, r: 9 }), svg("text", { x: x + 13, y: y + 5 }, name));
  const rows = edges.map((edge) => row(`#/traces?service=${encodeURIComponent(edge.client)}`, edge.client, edge.server, String(edge.calls), `${(100 * edge.failed / edge.calls).toFixed(1)} %`, `${number(1000 * edge.seconds_sum / edge.calls)} ms`, ago(edge.last_seen_ns)));
  return [make("h1", {}, "Service map"), picture, table(["from", "to", "calls", "failed", "mean", "last seen"], rows)];
}

function row(href, ...cells) {
  const go = () => { if (href) location.hash = href; };
  const node = make("tr", { tabindex: href ? "0" : undefined, onclick: (event) => { if (!event.target.closest("a, button")) go(); } }, ...cells.map((cell) => make("td", {}, cell)));
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target === node) go(); });
  return node;
}
const table = (heads, rows) => make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", {}, head)))), make("tbody", {}, ...rows));

const routes = [[/^\/$/, incidents], [/^\/incident\/([0-9a-f]+)$/, incident], [/^\/alerts$/, alerts], [/^\/alert\/([0-9a-f]+)$/, alert], [/^\/traces$/, traces], [/^\/trace\/([0-9a-f]+)$/, trace], [/^\/logs$/, logs], [/^\/anomalies$/, anomalies], [/^\/map$/, map], [/^\/agents$/, agents], [/^\/agent\/(.+)$/, agent], [/^\/deployments$/, deployments], [/^\/deployment\/(.+)$/, deployment], [/^\/pipeline$/, pipeline]];

async function draw() {
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  const mine = ++drawn;
  document.querySelectorAll("nav a").forEach((link) => link.getAttribute("href") === `#${path}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current"));
  for (const [pattern, show] of routes) {
    const match = pattern.exec(path);
    if (!match) continue;
    try {
      const content = await show(...(match.length > 1 ? match.slice(1) : [new URLSearchParams(query)]));
      if (mine === drawn) view.replaceChildren(...content.filter((node) => node !== ""));
      if (mine === drawn && searching) { searching = false; search(); }
    } catch (error) {
      if (mine === drawn) view.replaceChildren(make("p", { class: "empty", role: "alert" }, `This cannot be shown: ${error.message}`));
    }
    return;
  }
  view.replaceChildren(empty("There is no such view."));
}

function follow() {
  if (token) return setInterval(draw, 15000); // EventSource sends no headers
  setInterval(() => { if (/^#\/(agent|deployment|pipeline)/.test(location.hash)) draw(); }, 15000); // no event tells of these
  const events = new EventSource("/api/v1/stream");
  let waits = null;
  const soon = () => { if (waits === null) waits = setTimeout(() => { waits = null; if (!/trace|logs|anomalies|agent|deployment|pipeline/.test(location.hash)) draw(); }, 1500); };
  events.addEventListener("open", soon); // also after it was away: what happened meanwhile was not told
  events.addEventListener("alert", soon);
  events.addEventListener("incident", soon);
  return events;
}

function search() {
  const field = view.querySelector("form.filter input");
  if (field) return field.focus();
  searching = true;
  location.hash = "#/traces";
}

document.addEventListener("keydown", (event) => {
  if (/INPUT|SELECT/.test(event.target.tagName) || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const rows = [...view.querySelectorAll(".card, tr[tabindex]")];
  const at = rows.indexOf(document.activeElement);
  if (event.key >= "1" && event.key <= "9") location.hash = document.querySelector(`nav a[data-key="${event.key}"]`).getAttribute("href");
  else if (event.key === "j" && rows.length) rows[Math.min(at + 1, rows.length - 1)].focus();
  else if (event.key === "k" && rows.length) rows[Math.max(at - 1, 0)].focus();
  else if (event.key === "Backspace") history.back();
  else if (event.key === "r") draw();
  else if (event.key === "a") { event.preventDefault(); view.querySelector('[data-act="ack"]')?.click(); }
  else if (event.key === "/") { event.preventDefault(); search(); }
});
addEventListener("hashchange", () => { notice.textContent = ""; draw(); view.focus(); });
draw().then(follow);
