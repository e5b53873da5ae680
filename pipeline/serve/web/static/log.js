// A log as it comes: lines are added at its end, and it stays there until one scrolls up or stops following.
import { clock, utc } from "./times.js";

const MOST = 5000, APART = 1000;

export function followLog() {
  const box = document.querySelector("[data-log]");
  if (!box) return null;
  const button = document.querySelector("[data-follow]");
  let next = Number(box.dataset.next), busy = false, again = false, follow = true;

  const show = () => button?.setAttribute("aria-pressed", String(follow));
  const toEnd = () => { if (follow) box.scrollTop = box.scrollHeight; };
  if (button && box.hasAttribute("data-open-job")) {
    button.hidden = false;
    button.addEventListener("click", () => { follow = !follow; show(); toEnd(); });
  }
  box.addEventListener("scroll", () => {
    const end = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    if (end !== follow) { follow = end; show(); }
  });
  toEnd();

  const get = async () => {
    if (busy || document.hidden) { again = true; return; }
    busy = true;
    try {
      let more = true;
      while (more) {
        again = false;
        const url = new URL(box.dataset.log, location.href);
        url.searchParams.set("offset", next);
        if (box.dataset.step) url.searchParams.set("step", box.dataset.step);
        const answer = await fetch(url, { credentials: "same-origin" });
        if (!answer.ok) break;
        const page = await answer.json();
        // A job that was begun again has its log from the start.
        next = page.next;
        add(page.lines);
        more = page.more;
      }
    } catch { /* The next event asks again. */ } finally {
      setTimeout(() => { busy = false; if (again) get(); }, APART);
    }
  };

  const add = (lines) => {
    if (!lines.length) return;
    box.querySelector(".log-empty")?.remove();
    box.append(...lines.map(row));
    while (box.childElementCount > MOST) box.firstElementChild.remove();
    toEnd();
  };

  // Of a job that has ended nothing more comes; its last lines may have come without an event, before the page listened.
  let over = false;
  const settle = () => {
    if (over || !document.querySelector("[data-ended]")) return;
    over = true;
    get();
    if (button) button.hidden = true;
    const empty = box.querySelector(".log-empty");
    if (empty) empty.textContent = empty.dataset.none;
  };

  document.addEventListener("visibilitychange", () => { if (again) get(); });
  return { settle, heard: (kind, told) => { if (kind === "all" || ((kind === "log" || kind === "job") && told.id === box.dataset.job)) get(); } };
}

function row([at, step, about, text]) {
  const line = document.createElement("div");
  const [time, of, words] = [document.createElement("time"), document.createElement("span"), document.createElement("span")];
  line.className = `line ${about}`;
  if (at) {
    time.dateTime = new Date(at * 1000).toISOString();
    time.dataset.clock = "told";
    time.title = utc(at);
    time.textContent = clock(at);
  }
  [of.className, of.textContent] = ["of", step];
  [words.className, words.textContent] = ["text", text];
  line.append(time, of, words);
  return line;
}
