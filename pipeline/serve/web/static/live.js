// Listens to what changes, and then fetches this page's parts anew: what is the same stays as it is, focus and all.
import { narrow } from "./find.js";

// Milliseconds: what happens at once is fetched once; a running job's page is drawn anew as often as one can follow.
const SOON = 400, RUNNING = 1500, ASKED = 3000, SLOW = 10000;
const sent = new Map([...document.querySelectorAll("[data-part]")].map((part) => [part.id, content(part)]));

export function live(tick, log) {
  const say = document.querySelector("[data-link]");
  let due = 0, busy = false, again = false, poll = 0, source = null;

  const want = (within = SOON) => {
    if (document.hidden || busy) { again = true; return; }
    if (!due) due = setTimeout(fetchParts, within);
  };

  const fetchParts = async () => {
    due = 0; busy = true; again = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.reload(); return; }
      if (answer.ok) {
        put(new DOMParser().parseFromString(await answer.text(), "text/html"));
        tick();
        narrow();
        log?.settle();
      }
    } catch { /* The listening says so. */ } finally {
      busy = false;
      if (again) want(RUNNING);
    }
  };

  const heard = (event) => {
    const told = JSON.parse(event.data);
    log?.heard(event.type, told);
    if (event.type !== "log") want();
    else if (document.querySelector(`[data-job="${CSS.escape(told.id)}"]`)) want(RUNNING);
  };

  const listen = () => {
    source?.close();
    source = new EventSource(`/events?page=${document.body.dataset.live}`);
    for (const kind of ["job", "jobs", "log", "live", "repository", "all"]) source.addEventListener(kind, heard);
    source.onopen = () => {
      if (say && !say.hidden) want();
      if (say) say.hidden = true;
      clearInterval(poll);
      poll = 0;
    };
    source.onerror = () => {
      if (say) { say.textContent = "not connected: trying again"; say.hidden = false; }
      // The server has too many listeners, or is being started anew: asking now and then will do.
      poll ||= setInterval(() => want(), SLOW);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (!document.hidden) listen(); }, SLOW);
    };
  };

  setInterval(() => { if (document.querySelector("[data-poll]")) want(0); }, ASKED);
  document.addEventListener("parts-wanted", () => { clearTimeout(due); due = 0; fetchParts(); });
  // Browsers open six connections to a server at most: pages that nobody sees must not hold them.
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (document.hidden) return;
    listen();
    if (again) want();
  });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) { listen(); want(); } });
  if (!document.hidden) listen();
}

function put(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const now = fresh.getElementById(part.id);
    // A list that is open, or about to be, stays as it is.
    if (!now || part.matches("select:focus") || same(part, now)) continue;
    const focus = part.contains(document.activeElement) ? trail(document.activeElement, part) : null;
    const places = [...part.querySelectorAll("[id]")].map((each) => [each.id, each.scrollLeft, each.scrollTop]);
    const open = [...part.querySelectorAll("details")].map((each) => each.open);
    const chosen = part.value;
    part.replaceChildren(...now.childNodes);
    // Choices that move one by one take the choice along.
    if (part.matches("select")) part.value = chosen;
    part.hidden = now.hidden;
    for (const [id, left, top] of places) {
      const each = document.getElementById(id);
      if (each && (left || top)) [each.scrollLeft, each.scrollTop] = [left, top];
    }
    part.querySelectorAll("details").forEach((each, number) => { each.open = open[number] ?? each.open; });
    focus && find(part, focus)?.focus({ preventScroll: true });
  }
  if (fresh.title) document.title = fresh.title;
  document.body.dataset.live = fresh.body.dataset.live ?? "";
}

// Compared with what the server sent last, not with what times and filters have made of it since.
function same(part, now) {
  const [before, after] = [sent.get(part.id), content(now)];
  sent.set(part.id, after);
  return before === after && part.hidden === now.hidden;
}

function content(part) {
  // Words that grow old by themselves are no change.
  return part.innerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1").replace(/(<(?:dd|td)[^>]* data-since[^>]*>)[^<]*/g, "$1");
}

function trail(element, root) {
  if (element.id) return { id: element.id };
  const link = element.getAttribute("href");
  if (link) return { link };
  const form = element.closest("form")?.getAttribute("action");
  return form && root.contains(element.closest("form")) ? { form } : null;
}

function find(root, { id, link, form }) {
  if (id) return document.getElementById(id);
  if (link) return root.querySelector(`a[href="${CSS.escape(link)}"]`);
  return root.querySelector(`form[action="${CSS.escape(form)}"] button`);
}
