// What an operator does: take alerts on, end or merge incidents, part what does not belong. Loaded before page.js.
"use strict";

const notice = document.getElementById("said");

async function send(path, body) {
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (answer.status === 401) { await login(); return send(path, body); }
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({ title: answer.statusText }));
  throw new Error(problem.detail || problem.title);
}

// Asks why (and what else there is to say), sends it, and shows what comes of it. The dialog stays open where it fails.
function act(title, path, given, fields) {
  const dialog = document.getElementById("act");
  const trouble = make("p", { role: "alert", class: "trouble" });
  const form = make("form", {}, make("h1", {}, title), ...fields.map(([name, label, input]) => { input.name = name; return make("label", {}, label, input); }), trouble,
    make("p", {}, make("button", { type: "submit" }, "Do it"), " ", make("button", { type: "button", onclick: () => dialog.close() }, "Cancel")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const entered = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, name.endsWith("_seconds") ? Number(value) : value]));
      const answer = await send(path, { ...given, ...entered });
      dialog.close();
      notice.textContent = `${title}: said by ${answer.by || answer.ack.by}, it is on its way`;
      for (const wait of [1000, 3000, 6000]) setTimeout(draw, wait); // the worker does it, and its record comes back
    } catch (error) {
      trouble.textContent = error.message;
      button.disabled = false;
    }
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

const why = () => ["why", "Why", make("input", { required: "", maxlength: "1000", autocomplete: "off" })];
const option = (value, text) => { const node = make("option", {}, text); node.value = value; return node; };
const choice = (...options) => make("select", {}, ...options.map(([value, text]) => option(value, text)));

function takeOn(target) {
  const lasts = [["0", "until it ends"], ["3600", "one hour"], ["28800", "eight hours"], ["86400", "a day"]];
  const verdicts = [["", "say nothing"], ["useful", "yes"], ["noise", "no, it is noise"]];
  act("Take it on", "/api/v1/acks", { target }, [why(), ["for_seconds", "No notifications", choice(...lasts)], ["verdict", "Was it worth telling?", choice(...verdicts)]]);
}

async function mergeInto(id) {
  const { incidents: open } = await ask("/api/v1/incidents?status=open&limit=200");
  const others = open.filter((one) => one.incident_id !== id);
  if (!others.length) { notice.textContent = "There is no other open incident."; return; }
  act("Merge it into another", `/api/v1/incidents/${id}/merge`, {}, [["into", "The other", choice(...others.map((one) => [one.incident_id, one.title]))], why()]);
}

function incidentActions(found) {
  const id = found.incident_id;
  return found.status !== "open" ? "" : make("p", { class: "actions" },
    make("button", { "data-act": "ack", onclick: () => takeOn(id) }, "Take it on"),
    make("button", { onclick: () => act("Resolve it", `/api/v1/incidents/${id}/resolve`, {}, [why()]) }, "Resolve"),
    make("button", { onclick: () => mergeInto(id) }, "Merge into another"));
}

function takeOut(found, member) {
  if (found.status !== "open" || found.members.length < 2 || member.ends_at_ns) return "";
  const title = `${member.alertname} of ${member.service || member.agent} does not belong here`;
  return make("button", { "aria-label": title, title, onclick: () => act(title, `/api/v1/incidents/${found.incident_id}/unlink`, { fingerprint: member.fingerprint }, [why()]) }, "Take out");
}

const alertActions = (newest) => newest.state !== "firing" ? "" : make("p", { class: "actions" }, make("button", { "data-act": "ack", onclick: () => takeOn(newest.fingerprint) }, "Take it on"));
