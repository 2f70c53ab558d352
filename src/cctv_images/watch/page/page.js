"use strict";
// Asks /api/cameras?brief every 15 s and touches only what has changed. Whatever came from a camera or an inventory
// is set as textContent, never as markup.

const REFRESH_MS = 15_000;
const AGES_MS = 5_000;
const ANSWER_MS = 12_000;
const HEALTHS = ["ok", "suspect", "failing", "disabled", "new", "paused"]; // suspect: a mark beside the health

const byId = (id) => document.getElementById(id);
const cards = new Map(); // camera id -> {element, camera, told}
const wanted = new URLSearchParams(location.hash.slice(1));
let fleet = null;
let skew = 0; // the daemon's clock minus this browser's, in ms
let silentSince = null;

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function ago(moment) {
  const seconds = Math.max(0, (Date.now() + skew - Date.parse(moment)) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < 90) return `${Math.round(seconds / 5) * 5} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function age(camera) {
  if (camera.kind === "picture" && camera.captured_at) {
    const since = ago(camera.captured_at);
    return since === "just now" ? since : `${since} ago`;
  }
  if (camera.last_picture_at) return `last picture ${ago(camera.last_picture_at)} ago`.replace("just now ago", "just now");
  return camera.health === "new" || camera.health === "paused" ? "" : "no picture since the start";
}

function clockTime(moment) {
  return new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function newCard(camera) {
  const element = byId("card").content.firstElementChild.cloneNode(true);
  const image = element.querySelector("img");
  const card = { element, camera, told: "" };
  image.addEventListener("load", () => showPicture(element, true, ""));
  image.addEventListener("error", () => {
    showPicture(element, false, "the picture cannot be loaded");
    image.removeAttribute("src");
    card.told = ""; // tried again at the next refresh
  });
  return card;
}

function showPicture(element, shown, instead) {
  element.querySelector("img").hidden = !shown;
  setText(element.querySelector(".none"), instead);
}

function updatePicture(element, camera) {
  const link = element.querySelector(".picture");
  const image = element.querySelector("img");
  const name = camera.name || camera.id;
  if (!camera.kind) {
    link.removeAttribute("href");
    image.removeAttribute("src");
    showPicture(element, false, camera.health === "paused" ? "paused" : "no picture yet");
    return;
  }
  const path = `/image/${encodeURIComponent(camera.id)}.jpg`;
  const source = `${path}?v=${encodeURIComponent(camera.etag || camera.captured_at || "")}`;
  link.href = path;
  image.alt = camera.kind === "picture" ? `Picture of ${name}` : `No picture of ${name} at present`;
  if (image.getAttribute("src") !== source) {
    image.hidden = false;
    image.src = source;
  }
}

function updateCard(card) {
  const { element, camera } = card;
  element.dataset.health = camera.health;
  updatePicture(element, camera);
  const title = element.querySelector("h2");
  setText(title, camera.name || camera.id);
  title.title = camera.name || camera.id;
  setText(element.querySelector(".id"), [camera.id, camera.model].filter(Boolean).join(" · "));
  setText(element.querySelector(".badge"), camera.health);
  const doubt = element.querySelector(".doubt");
  doubt.hidden = !camera.suspect;
  setText(doubt.querySelector("strong"), camera.suspect ? `suspect, ${camera.suspect.reason}` : "");
  setText(doubt.querySelector(".meaning"), camera.suspect ? camera.suspect.detail : "");
  const why = element.querySelector(".why");
  why.hidden = !camera.error_state;
  setText(why.querySelector("strong"), camera.error_state || "");
  setText(why.querySelector(".meaning"), camera.meaning || "");
  for (const part of ["detail", "remedy"]) {
    const line = element.querySelector(`.${part}`);
    line.hidden = !camera[part];
    setText(line, camera[part] || "");
  }
  setText(element.querySelector(".age"), age(camera));
}

function updateGrid(cameras) {
  const grid = byId("grid");
  const present = new Set(cameras.map((camera) => camera.id));
  for (const [id, card] of cards) {
    if (!present.has(id)) {
      card.element.remove();
      cards.delete(id);
    }
  }
  let next = grid.firstElementChild;
  for (const camera of cameras) {
    let card = cards.get(camera.id);
    if (!card) cards.set(camera.id, (card = newCard(camera)));
    const { next_due, ...rest } = camera; // changes with each cycle and is not shown
    const told = JSON.stringify(rest);
    if (card.told !== told) {
      Object.assign(card, { camera, told });
      updateCard(card);
    }
    if (card.element === next) next = next.nextElementSibling;
    else grid.insertBefore(card.element, next);
  }
}

function matches(camera, words) {
  const { name, id, model, health, error_state, detail, suspect } = camera;
  const doubt = suspect ? `suspect ${suspect.reason} ${suspect.detail}` : "";
  const text = [name, id, model, health, error_state, detail, doubt].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function applyFilter() {
  const health = wanted.get("health");
  const words = (wanted.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { element, camera } of cards.values()) {
    const chosen = !health || (health === "suspect" ? camera.suspect !== null : camera.health === health);
    const hit = chosen && matches(camera, words);
    if (element.hidden === hit) element.hidden = !hit;
    shown += hit;
  }
  const empty = byId("empty");
  empty.hidden = shown > 0;
  setText(empty, fleet === null ? "Loading …" : cards.size ? "No camera matches." : "No cameras yet.");
}

function want(key, value) {
  if (value) wanted.set(key, value);
  else wanted.delete(key);
  history.replaceState(null, "", wanted.size ? `#${wanted}` : location.pathname);
  updateChips();
  applyFilter();
}

function updateChips() {
  const counts = fleet ? { ...fleet.health, suspect: Object.values(fleet.suspects).reduce((sum, n) => sum + n, 0) } : {};
  const chosen = wanted.get("health") || "";
  for (const chip of byId("chips").children) {
    const health = chip.dataset.health;
    const count = health ? counts[health] || 0 : cards.size;
    setText(chip, `${health || "all"} ${count}`);
    chip.setAttribute("aria-pressed", String(health === chosen));
    chip.hidden = Boolean(health) && count === 0 && health !== chosen;
  }
}

function updateHeader() {
  setText(byId("store"), fleet.store.ok ? "✓ store ok" : "✕ store failed");
  byId("store").classList.toggle("bad", !fleet.store.ok);
  const { archive } = fleet;
  setText(byId("archive"), archive.address ? `feeds are kept in ${archive.address}` : "feeds are not kept");
  byId("archive").classList.toggle("bad", !archive.ok || Boolean(archive.losing));
  setText(byId("as-of"), `as of ${clockTime(fleet.time)}`);
  const published = fleet.published.picture || 0;
  const failed = Object.values(fleet.failed).reduce((sum, count) => sum + count, 0);
  setText(
    byId("figures"),
    `since ${new Date(fleet.started_at).toLocaleString()}: ${published.toLocaleString()} pictures published, ` +
      `${failed.toLocaleString()} cycles failed; cycles start ${fleet.lateness_p99_s} s late at most (p99)` +
      (fleet.fingerprint ? `; settings ${fleet.fingerprint}` : ""),
  );
}

function troubles() {
  const told = []; // [text, whether pictures are at stake]
  if (silentSince) told.push([`No answer from the daemon since ${clockTime(silentSince)}. What stands here may be old.`, true]);
  if (!fleet) return told;
  const { store } = fleet;
  if (!store.ok) {
    const reason = [store.reason, store.detail].filter(Boolean).join(": ");
    const waiting = store.waiting ? ` ${store.waiting} pictures wait.` : "";
    told.push([`The store has taken no pictures since ${clockTime(store.since || fleet.time)}: ${reason}.${waiting}`, true]);
  } else if (!fleet.well) {
    told.push([`The service is unwell: ${fleet.verdict}.`, true]);
  }
  const { archive } = fleet;
  if (!archive.ok) {
    const reason = [archive.reason, archive.detail].filter(Boolean).join(": ");
    told.push([`The archive has taken no copies since ${clockTime(archive.since)}: ${reason}. ${archive.spooled} pictures wait in the spool.`, Boolean(archive.losing)]);
  }
  if (archive.losing) told.push([`Pictures are being lost to the archive: ${archive.losing}.`, true]);
  if (fleet.uplink_suspected_since) {
    const since = clockTime(fleet.uplink_suspected_since);
    told.push([`So many cameras became unreachable at ${since} that our own network is suspected. Their last pictures stay up for now.`, true]);
  }
  if (fleet.inventory_stale) told.push(["The inventory cannot be reached; the last good one is in use.", false]);
  if (fleet.rejected_rows) told.push([`Inventory rows that cannot be used: ${fleet.rejected_rows}. The log names them.`, false]);
  return told;
}

function updateTroubles() {
  const list = byId("troubles");
  const told = troubles();
  if (told.map(([text]) => text).join("\n") === [...list.children].map((item) => item.textContent).join("\n")) return;
  list.replaceChildren(
    ...told.map(([text, bad]) => {
      const item = document.createElement("li");
      item.textContent = text;
      item.classList.toggle("bad", bad);
      return item;
    }),
  );
  list.hidden = told.length === 0;
}

async function refresh() {
  try {
    const answer = await fetch("/api/cameras?brief", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const told = await answer.json();
    fleet = told.fleet;
    skew = Date.parse(fleet.time) - Date.now();
    silentSince = null;
    updateGrid(told.cameras);
    updateHeader();
    updateChips();
    applyFilter();
  } catch {
    silentSince ??= Date.now();
  }
  updateTroubles();
}

async function keepFresh() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((wake) => setTimeout(wake, REFRESH_MS));
  }
}

function start() {
  const chips = byId("chips");
  for (const health of ["", ...HEALTHS]) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.dataset.health = health;
    chip.addEventListener("click", () => want("health", health === wanted.get("health") ? "" : health));
    chips.append(chip);
  }
  const search = byId("search");
  search.value = wanted.get("q") || "";
  search.addEventListener("input", () => want("q", search.value.trim()));
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  setInterval(() => {
    for (const { element, camera } of cards.values()) setText(element.querySelector(".age"), age(camera));
  }, AGES_MS);
  updateChips();
  keepFresh();
}

start();
