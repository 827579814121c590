"use strict";

// Links to Airflow's own pages open in Airflow's window, not inside our frame. A frame may not navigate its window, but
// a link of that window may.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  window.parent.document.body.append(outside);
  outside.click();
  outside.remove();
});

// A request's page follows it without being loaded again; when something new has to be shown, it is.
const shown = document.getElementById("request");
const POLL_MS = 2000;

function show(live) {
  for (const [name, text] of Object.entries(live.texts)) {
    const place = shown.querySelector(`[data-text="${name}"]`);
    if (place && place.textContent !== text) place.textContent = text;
  }
  for (const step of live.steps) {
    const place = shown.querySelector(`[data-step="${step.name}"]`);
    place.className = step.state;
    place.querySelector(".time").textContent = step.time;
    place.querySelector(".unseen").textContent = step.state;
  }
  const bar = shown.querySelector("progress");
  if (bar) bar.value = live.permille;
  const log = shown.querySelector("[data-log]");
  if (live.log && log.textContent !== live.log) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    shown.querySelector('[data-shown="log"]').hidden = false;
    log.textContent = live.log;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

async function follow() {
  if (!document.hidden) {
    try {
      const answer = await fetch(shown.dataset.poll, { headers: { Accept: "application/json" } });
      if (answer.status === 401) return location.reload();
      const live = await answer.json();
      if (live.version !== shown.dataset.version) return location.reload();
      show(live);
    } catch {
      // The server or the network is away for a moment; the next look will tell.
    }
  }
  setTimeout(follow, POLL_MS);
}

if (shown) {
  const log = shown.querySelector("[data-log]");
  log.scrollTop = log.scrollHeight;
  if (shown.dataset.poll) setTimeout(follow, POLL_MS);
}
