// The view of agents' logs. Loaded before page.js, whose functions it calls when drawn.
"use strict";

const severities = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const grave = { FATAL: "critical", ERROR: "high", WARN: "warning", INFO: "info", DEBUG: "dim", TRACE: "dim" };

async function logs(query) {
  const names = ["text", "severity", "agent_id", "service", "logger", "trace_id"];
  const asked = wanted(names, query);
  const { logs: found, next_cursor: next } = await ask(`/api/v1/logs?limit=100&${asked}`);
  const rows = found.map((one) => row(one.trace_id ? `#/trace/${one.trace_id}` : "", when(one.time),
    make("span", { class: `word ${grave[one.severity]}` }, one.severity), said(one), place(one), one.logger,
    one.trace_id ? make("a", { href: `#/trace/${one.trace_id}`, title: one.trace_id }, one.trace_id.slice(0, 8)) : ""));
  asked.set("cursor", next);
  return [make("h1", {}, "Logs"), filter("#/logs", names, { severity: [[""], ...severities.map((name) => [name, `${name} or worse`])] }, query),
    found.length ? wide(table(["when", "", "what", "of", "logger", "trace"], rows)) : empty("nothing of the last day matches"),
    next ? make("a", { href: `#/logs?${asked}` }, "older") : ""];
}

const when = (time) => make("span", { class: "when", title: time }, make("span", { class: "day" }, `${time.slice(5, 10)} `), time.slice(11, -1));

function said(one) {
  const details = Object.entries(one.attributes).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ");
  return make("div", { class: "said" }, make("span", { class: "who" }, place(one), ": "), one.body, details ? make("div", { class: "dim" }, details) : "");
}

const place = (one) => one.agent_id ? make("a", { href: `#/agent/${encodeURIComponent(one.agent_id)}` }, one.agent_id) : one.service;
