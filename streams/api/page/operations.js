// Views of agents, deployments and the pipeline's health. Loaded before page.js, whose functions they call when drawn.
"use strict";

const bytes = (x) => x === null || x === undefined ? "" : x >= 1e9 ? `${(x / 1e9).toFixed(2)} GB` : `${(x / 1e6).toFixed(1)} MB`;
const share = (x) => x === null || x === undefined ? "" : `${(100 * x).toFixed(1)} %`;
const shown = (x, unit = "") => x === null || x === undefined ? "no data" : `${number(x)}${unit}`;
const amount = (x, unit) => unit === "By" ? bytes(x) : unit === "ratio" ? share(x) : `${number(x)}${unit === "1" || unit.startsWith("{") ? "" : ` ${unit}`}`;
const since = (text) => ago(new Date(text).getTime() * 1e6);
const colours = { alive: "ok", silent: "high", crashed: "critical", stopped: "dim", no_data: "warning", pass: "ok", fail: "critical", inconclusive: "warning", succeeded: "ok", failed: "critical", paused: "warning", rollback_requested: "high", rolling_back: "high", rollback_failed: "critical", rolled_back: "warning", healthy: "ok", degraded: "warning", unhealthy: "critical" };
const marked = (text) => make("span", { class: `word ${colours[text] || text}` }, text.replaceAll("_", " "));
const picks = (base, name, chosen, choices) => make("p", {}, ...choices.flatMap((choice) => [make("a", { href: `${base}?${name}=${choice}`, "aria-current": choice === chosen ? "true" : undefined }, choice.replaceAll("_", " ")), " "]));
const wide = (content) => make("div", { class: "wide" }, content);

async function agents(query) {
  const status = query.get("status") || "any";
  const asked = new URLSearchParams({ limit: "200", window: "300", status: status === "any" ? "" : status, cursor: query.get("cursor") || "" });
  const { agents: found, next_cursor: next } = await ask(`/api/v1/monitoring/agents?${asked}`);
  const rows = found.map((one) => row(`#/agent/${encodeURIComponent(one.agent_id)}`, marked(one.status), one.agent_id, one.alerts_firing ? word("critical") : "", bytes(one.memory_bytes), share(one.cpu_ratio), one.steps === null ? "" : number(one.steps), share(one.error_ratio), one.p95_inference_seconds === null ? "" : `${number(one.p95_inference_seconds)} s`, one.type, since(one.last_seen)));
  return [make("h1", {}, `Agents: ${status.replaceAll("_", " ")}`), picks("#/agents", "status", status, ["any", "alive", "silent", "crashed", "stopped"]),
    found.length ? wide(table(["", "agent", "alerts", "memory", "cpu", "steps", "failed", "p95", "type", "last seen"], rows)) : empty("none in the last hour"),
    next ? make("a", { href: `#/agents?status=${status}&cursor=${next}` }, "more") : "", make("p", { class: "dim" }, "figures of the last five minutes")];
}

function line(panes, name, label) {
  const known = panes.filter((pane) => pane[name] !== null);
  if (known.length < 2) return empty(`${label}: no data`);
  const svg = (tag, attributes) => { const node = document.createElementNS("http://www.w3.org/2000/svg", tag); Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value)); return node; };
  const most = Math.max(...known.map((pane) => pane[name])) || 1, first = Date.parse(known[0].start), last = Date.parse(known.at(-1).start);
  const points = known.map((pane) => `${(1000 * (Date.parse(pane.start) - first) / (last - first || 1)).toFixed(1)},${(78 - 74 * pane[name] / most).toFixed(1)}`).join(" ");
  const picture = svg("svg", { viewBox: "0 0 1000 80", role: "img", "aria-label": label, class: "chart", preserveAspectRatio: "none" });
  picture.append(svg("polyline", { points }));
  return make("figure", {}, make("figcaption", { class: "dim" }, `${label}; the highest is ${name.endsWith("bytes") ? bytes(most) : number(most)}`), picture);
}

async function agent(id) {
  const found = await ask(`/api/v1/monitoring/agents/${encodeURIComponent(decodeURIComponent(id))}?window=3600`);
  const one = found.agent;
  const figures = [["service", `${one.service} ${one.version}`], ["environment", one.environment], ["type", one.type], ["memory", bytes(one.memory_bytes) || "no data"], ["cpu", share(one.cpu_ratio) || "no data"], ["steps", shown(one.steps)], ["failed steps", share(one.error_ratio) || "no data"], ["inference p95", shown(one.p95_inference_seconds, " s")], ["sessions", shown(one.sessions)], ["free energy", shown(one.free_energy)], ["right predictions", share(one.belief_accuracy_ratio) || "no data"]];
  const alerts = found.alerts.map((alert) => row(`#/alert/${alert.fingerprint}`, word(alert.severity), alert.alertname, alert.annotations.summary || ""));
  return [make("h1", {}, marked(one.status), one.agent_id), make("p", { class: "dim" }, `last seen ${since(one.last_seen)}; figures of the last hour`),
    make("p", {}, make("a", { href: `#/traces?agent_id=${encodeURIComponent(one.agent_id)}` }, "its traces"), " · ", make("a", { href: `#/traces?agent_id=${encodeURIComponent(one.agent_id)}&status=error` }, "those that failed"), " · ", make("a", { href: `#/logs?agent_id=${encodeURIComponent(one.agent_id)}` }, "its logs")),
    alerts.length ? table(["", "alert", "what"], alerts) : "", line(found.panes, "memory_bytes", "memory"), line(found.panes, "steps", "steps in ten seconds"),
    table(["figure", "value"], figures.map(([name, value]) => row("", name, value)))];
}

async function deployments(query) {
  const status = query.get("status") || "any";
  const asked = new URLSearchParams({ limit: "100", status: status === "any" ? "" : status, cursor: query.get("cursor") || "" });
  const { deployments: found, next_cursor: next } = await ask(`/api/v1/deployments/history?${asked}`);
  const { statistics: all } = await ask("/api/v1/deployments/statistics");
  const { gates, profile } = await ask("/api/v1/performance-gates");
  const rows = found.map((one) => row(`#/deployment/${encodeURIComponent(one.id)}`, marked(one.state), `${one.service} ${one.version}`, one.verdict ? marked(one.verdict.verdict) : "", one.environment, one.id, ago(one.updated_ns)));
  const limits = gates.map((gate) => row("", gate.name, gate.kind === "check" ? `${gate.op} ${amount(gate.threshold, gate.unit)}` : `at most ${share(gate.max_change)}${gate.source.statistic === "ratio" ? " of all" : ""} worse than ${gate.against === "pinned" ? "what is pinned" : "the version beside it"}`, gate.blocking ? "blocks" : "advises"));
  return [make("h1", {}, "Deployments"), picks("#/deployments", "status", status, ["any", "validating", "paused", "succeeded", "failed", "rollback_requested", "rolled_back"]),
    make("p", { class: "dim" }, `${all.total} in 30 days; succeeded ${share(all.success_ratio) || "no data"}, failed or rolled back ${share(all.change_failure_ratio) || "no data"}, repaired after ${all.mean_restore_seconds === null ? "no data" : seconds(all.mean_restore_seconds)}`),
    found.length ? wide(table(["", "what", "gates", "where", "id", "changed"], rows)) : empty("none"), next ? make("a", { href: `#/deployments?status=${status}&cursor=${next}` }, "older") : "",
    make("h2", {}, `Gates of profile ${profile}`), table(["gate", "must be", ""], limits)];
}

async function deployment(id) {
  const { deployment: one } = await ask(`/api/v1/deployments/${encodeURIComponent(decodeURIComponent(id))}`);
  const gates = one.verdict ? one.verdict.gates.map((gate) => row("", marked(gate.status), gate.name, gate.reason, gate.blocking ? "blocks" : "advises")) : [];
  return [make("h1", {}, marked(one.state), `${one.service} ${one.version}`),
    make("p", { class: "dim" }, `${one.id}, ${one.strategy} in ${one.environment}${one.baseline_version ? `, beside ${one.baseline_version}` : ""}${one.git_sha ? `, commit ${one.git_sha}` : ""}; profile ${one.profile}`),
    make("h2", {}, "Gates"), one.verdict ? make("p", { class: "cause" }, marked(one.verdict.verdict), `${one.verdict.recommended_action}; judged ${since(one.verdict.at)}`) : empty("not judged yet"),
    gates.length ? table(["", "gate", "why", ""], gates) : "", make("h2", {}, "What happened, in order"),
    table(["when", "state", "why", "who"], one.steps.map((step) => row("", time(step.at_ns), marked(step.state), step.reason, step.by)))];
}

async function pipeline() {
  const found = await ask("/api/v1/system/metrics/health");
  const { pipeline: far } = await ask("/api/v1/monitoring/stats");
  const known = (x, text) => x === null ? "nobody said" : text(x);
  const flow = [["waits to be applied", known(far.lag_records, (x) => `${number(x)} records, the oldest for ${known(far.lag_seconds, seconds)} at most`)],
    ["event time is behind by", known(far.watermark_delay_seconds, seconds)], ["closed windows are behind by", known(far.windows_age_seconds, seconds)],
    ["late, duplicate, rejected, without room", known(far.late, () => [far.late, far.duplicate, far.rejected, far.overflow].map(number).join(", "))], ["dead letters", known(far.dead_letters, number)],
    ["partitions of which nothing was heard for a minute", `${far.partitions_silent} of ${far.partitions}`]].map(([name, value]) => row("", name, value));
  const words = { ok: "ok", warning: "warning", critical: "critical", no_data: "dim" };
  const checks = found.checks.map((check) => row("", make("span", { class: `word ${words[check.status]}` }, check.status.replaceAll("_", " ")), check.name.replaceAll("_", " "), check.value === null ? "" : amount(check.value, check.unit), `${check.better === "lower" ? "from" : "down to"} ${amount(check.critical, check.unit)}`));
  const feeders = found.feeders.map((one) => row("", make("span", { class: `word ${one.ok && one.caught_up ? "ok" : "critical"}` }, one.ok ? one.caught_up ? "ok" : "reading" : "failed"), one.name, one.detail));
  const topics = found.topics.map((one) => row("", one.topic, number(one.records), since(one.newest_record)));
  const states = Object.entries(found.agents).map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`).join(", ");
  return [make("h1", {}, marked(found.status), "Pipeline and agents"), make("p", { class: "dim" }, `${found.newest_window ? `newest closed window ended ${since(found.newest_window)}` : "no closed window yet"}; agents: ${states || "none"}`),
    table(["", "check", "now", "critical"], checks), make("h2", {}, "The last five minutes"), table(["", ""], flow), make("h2", {}, "Readers of this page's data"), feeders.length ? table(["", "reader", ""], feeders) : empty("none"),
    make("h2", {}, "Topics"), topics.length ? table(["topic", "records read", "newest"], topics) : empty("nothing was read yet")];
}
