// Shows a log in pieces: the one the page came with, and others as they are asked for or as the log grows. Of a long log only some are kept.
const root = document.getElementById("log");
const text = document.getElementById("log-text");
const state = document.getElementById("log-state");
const empty = document.getElementById("log-empty");
const earlier = document.getElementById("log-earlier");
const later = document.getElementById("log-later");
const follow = document.getElementById("log-follow");
const followBox = document.getElementById("log-follow-box");
const KEPT = 12; // pieces in the page, of at most 128 KiB and 4,000 lines of log each
const FULL = 1500; // lines; what a growing log adds a little at a time is put together up to this
let done = root.dataset.done === "yes";
let turn = Promise.resolve(); // one thing after the other

const first = () => text.firstElementChild;
const last = () => text.lastElementChild;

async function rows(query) {
  const answer = await fetch(`${root.dataset.rows}?${query}`, { cache: "no-store", signal: AbortSignal.timeout(20000) });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const piece = await answer.json();
  done = piece.done;
  write(state, size(piece.size) + (done ? "" : " so far"));
  return piece;
}

function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < 3) { bytes /= 1024; unit += 1; }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

function element(piece) {
  const made = document.createElement("div");
  made.className = "piece";
  made.innerHTML = piece.html; // the server's own, escaped there
  Object.assign(made.dataset, { start: piece.start, end: piece.end, more: piece.more ? "yes" : "" });
  return made;
}

function settle() {
  earlier.hidden = !first() || first().dataset.start.startsWith("0_");
  later.hidden = !last() || last().dataset.more !== "yes";
  empty.hidden = text.querySelector(".ln") !== null;
  if (done) write(empty, "It left no log.");
  followBox.hidden = done;
}

function append(piece) {
  last()?.querySelector(".pending")?.remove();
  const made = element(piece);
  const begins = piece.start.split("_")[0];
  if (last() && last().childElementCount + made.childElementCount <= FULL && last().dataset.end.split("_")[0] === begins) {
    last().append(...made.childNodes);
    Object.assign(last().dataset, { end: piece.end, more: made.dataset.more });
  } else text.append(made);
  while (text.childElementCount > KEPT) keepPlace(() => first().remove());
  settle();
}

// Changes what stands above or below without moving what is being read.
function keepPlace(change) {
  let mark = null;
  for (let y = 80; y < innerHeight && !mark; y += 40) mark = document.elementFromPoint(root.getBoundingClientRect().left + 20, y)?.closest(".ln");
  const before = mark?.getBoundingClientRect().top;
  change();
  if (mark?.isConnected) scrollBy(0, mark.getBoundingClientRect().top - before);
}

function queue(work) {
  turn = turn.then(work).catch((error) => write(state, `The log could not be read: ${error.message}`));
  return turn;
}

const showEarlier = () => queue(async () => {
  if (!first() || earlier.hidden) return;
  const piece = await rows(`before=${first().dataset.start}`);
  keepPlace(() => {
    text.prepend(element(piece));
    while (text.childElementCount > KEPT) {
      last().remove();
      last().dataset.more = "yes";
    }
  });
  settle();
});

const showLater = () => queue(async () => {
  if (last()?.dataset.more !== "yes") return;
  append(await rows(`after=${last().dataset.end}`));
  coming.unobserve(later); // to be told again, should it still be in view
  coming.observe(later);
});
const coming = new IntersectionObserver((seen) => { if (seen.at(-1).isIntersecting && done) showLater(); }, { rootMargin: "400px" });

const replaceWith = (query) => queue(async () => {
  const piece = await rows(query);
  text.replaceChildren(element(piece));
  settle();
});

async function toHash() {
  const line = /^#L([1-9]\d{0,14})$/.exec(location.hash)?.[1];
  if (!line) return;
  follow.checked = false;
  if (!document.getElementById(`L${line}`)) await replaceWith(`line=${line}`);
  for (const marked of text.querySelectorAll(".here")) marked.classList.remove("here");
  const row = document.getElementById(`L${line}`);
  row?.classList.add("here");
  row?.scrollIntoView({ block: "start" });
}

function atBottom() {
  return innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
}

async function watch() {
  for (;;) {
    const complete = last()?.dataset.more !== "yes";
    if (done && complete) {
      settle();
      root.dataset.log = "complete";
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, complete ? 700 : follow.checked ? 0 : 700));
    if (document.visibilityState === "hidden") continue;
    if (!complete && !follow.checked) { if (done) return; continue; } // the reader is elsewhere in the log
    const followed = follow.checked;
    await queue(async () => append(await rows(last() ? `after=${last().dataset.end}` : "after=0_1_0_..")));
    if (followed && follow.checked) scrollTo(0, document.documentElement.scrollHeight);
  }
}

earlier.addEventListener("click", showEarlier);
later.addEventListener("click", showLater);
coming.observe(later);
document.getElementById("log-top").addEventListener("click", async () => {
  follow.checked = false;
  if (!earlier.hidden) await replaceWith("after=0_1_0_..");
  root.scrollIntoView();
});
document.getElementById("log-bottom").addEventListener("click", async () => {
  if (!later.hidden) await replaceWith("tail");
  scrollTo(0, document.documentElement.scrollHeight);
});
follow.addEventListener("change", async () => {
  if (!follow.checked) return;
  if (!later.hidden) await replaceWith("tail");
  scrollTo(0, document.documentElement.scrollHeight);
});
for (const kind of ["wheel", "touchmove"]) addEventListener(kind, () => { if (!atBottom()) follow.checked = false; }, { passive: true });
addEventListener("hashchange", toHash);
if (done) follow.checked = false;
settle();
toHash().then(watch);
