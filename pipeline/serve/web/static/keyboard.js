// Shortcuts: / finds, j and k move over rows, Enter opens one, g and a letter goes to a page, t colours, ? all of them.
const PAGES = { m: "/", j: "/jobs", a: "/waiting", i: "/images", r: "/repositories" };

export function keyboard() {
  const help = document.querySelector("[data-help]");
  const list = document.getElementById("keys");
  if (help && list) {
    help.hidden = false;
    help.addEventListener("click", () => list.showModal());
  }
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (Date.now() - going < 1200 && PAGES[event.key]) {
      location.href = PAGES[event.key];
      return;
    }
    going = 0;
    const act = {
      "/": () => document.querySelector("[data-find]")?.focus(),
      "?": () => list?.showModal(),
      j: () => move(1),
      k: () => move(-1),
      t: () => document.querySelector("[data-theme-switch]")?.click(),
      g: () => { going = Date.now(); },
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function move(by) {
  const rows = [...document.querySelectorAll("[data-row]:not([hidden])")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  document.querySelectorAll(".at").forEach((each) => each.classList.remove("at"));
  row.classList.add("at");
  row.querySelector("[data-open]")?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}
document.addEventListener("focusin", (event) => {
  const row = event.target.closest("[data-row]");
  document.querySelectorAll(".at").forEach((each) => each !== row && each.classList.remove("at"));
});
