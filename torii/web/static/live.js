// Keeps a page as it is on the server: asks for the part that changes, and puts it in place when it did. Read-only, no dependencies.
const live = document.getElementById("live");
const state = document.getElementById("link-state");
const skew = Number(document.documentElement.dataset.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let etag = "";
let failures = 0;

export function spoken(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (hours) return `${hours}h ${minutes}m`;
  return minutes ? `${minutes}m ${whole % 60}s` : `${whole}s`;
}

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tell() {
  for (const time of document.querySelectorAll("time[data-since]")) write(time, ago(now() - Number(time.dataset.since)));
  for (const time of document.querySelectorAll("time[data-elapsed]")) write(time, spoken(now() - Number(time.dataset.elapsed)));
}

function places() {
  const found = new Map();
  for (const element of live.querySelectorAll("[data-key]")) found.set(element.dataset.key, element.getBoundingClientRect());
  return found;
}

function replace(html) {
  const before = still.matches ? null : places();
  const focused = document.activeElement?.getAttribute?.("href");
  live.innerHTML = html; // the server's own, escaped there
  tell();
  if (focused) [...live.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  if (before === null) return;
  for (const element of live.querySelectorAll("li[data-key]")) {
    const was = before.get(element.dataset.key), is = element.getBoundingClientRect();
    if (!was) element.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 250 });
    else if (Math.abs(was.top - is.top) > 2 || Math.abs(was.left - is.left) > 2) {
      element.animate([{ transform: `translate(${was.left - is.left}px, ${was.top - is.top}px)` }, { transform: "none" }], { duration: 250, easing: "ease-out" });
    }
  }
}

async function refresh() {
  const answer = await fetch("?live", { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const html = await answer.text();
  const first = etag === "";
  etag = answer.headers.get("etag") ?? "";
  if (!first || !sameAs(html)) replace(html);
}

function sameAs(html) {
  const other = document.createElement("div");
  other.innerHTML = html;
  for (const root of [other, live]) for (const time of root.querySelectorAll("time")) time.dataset.text = "";
  const strip = (root) => root.innerHTML.replace(/ data-text=""|>[^<]*<\/time>/g, "").trim();
  return strip(other) === strip(live);
}

async function watch() {
  for (;;) {
    const settled = live.querySelector("[data-settled]")?.dataset.settled;
    if (settled === "yes" && etag !== "") {
      live.dataset.live = "settled";
      return;
    }
    const pause = failures ? Math.min(1000 * 2 ** failures, 15000) : settled === "slow" ? 5000 : 1000;
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (document.visibilityState === "hidden") continue;
    try {
      await refresh();
      failures = 0;
      write(state, "");
    } catch (error) {
      failures += 1;
      write(state, "No connection; trying again…");
    }
  }
}

tell();
setInterval(tell, 1000);
watch();
