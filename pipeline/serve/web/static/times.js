// Times in this device's zone, with UTC when pointed at; and "3 min ago", which grows old as the page does.
const UNITS = [[86400, "day", "days"], [3600, "h", "h"], [60, "min", "min"]];

export function relative(at, now) {
  const apart = now - at;
  if (Math.abs(apart) < 5) return apart >= 0 ? "just now" : "now";
  const words = span(Math.abs(apart));
  return apart > 0 ? `${words} ago` : `in ${words}`;
}

function span(value) {
  for (const [whole, one, many] of UNITS) {
    if (value >= whole) {
      const count = Math.floor(value / whole);
      return `${count} ${count === 1 ? one : many}`;
    }
  }
  return `${Math.floor(value)} s`;
}

export function lasted(value) {
  if (value < 59.95) return `${Math.max(0, value).toFixed(1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function clock(at) {
  return at ? CLOCK.format(at * 1000) : "";
}

export function utc(at) {
  return `${new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

// Seconds that this device's clock is ahead of the server's; less is the time that the page took to come.
const AHEAD = Date.now() / 1000 - Number(document.body.dataset.now);
const APART = Math.abs(AHEAD) > 5 ? AHEAD : 0;

// A time line grows with what goes on along it, whether or not that says anything.
function stretch(table, now) {
  const begun = Number(table.dataset.begun), bars = [...table.querySelectorAll(".bar[data-from]")];
  if (bars.every((bar) => bar.dataset.to)) return;
  const part = Math.max(0.001, now - begun) / 1000;
  for (const bar of bars) {
    const x = Math.min(997, Math.max(0, Number(bar.dataset.from) - begun) / part);
    const end = Math.min(1000, ((Number(bar.dataset.to) || now) - begun) / part);
    const rect = bar.lastElementChild;
    rect.setAttribute("x", x.toFixed(1));
    rect.setAttribute("width", Math.max(3, end - x).toFixed(1));
  }
  table.querySelector("[data-whole]").textContent = lasted(now - begun);
}

export function times() {
  const tick = () => {
    const now = Date.now() / 1000 - APART;
    // A log has thousands of them, and they stay as they are.
    for (const each of document.querySelectorAll('time[data-clock=""]')) {
      each.textContent = clock(Date.parse(each.dateTime) / 1000);
      each.dataset.clock = "told";
    }
    for (const each of document.querySelectorAll("time[datetime]:not([data-clock])")) {
      const at = Date.parse(each.dateTime) / 1000;
      const text = relative(at, now);
      if (each.textContent !== text) each.textContent = text;
      if (!each.dataset.local) {
        each.dataset.local = "1";
        each.title = `${new Date(at * 1000).toLocaleString()} (${utc(at)})`;
      }
    }
    for (const each of document.querySelectorAll("table[data-begun]")) stretch(each, now);
    for (const each of document.querySelectorAll("[data-since]")) each.textContent = lasted(now - Number(each.dataset.since));
  };
  tick();
  const zone = document.querySelector("[data-zone]");
  if (zone) zone.textContent = "Times are this device's; UTC when pointed at.";
  setInterval(tick, 1000);
  return tick;
}
