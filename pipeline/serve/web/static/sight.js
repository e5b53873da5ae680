// Keeps what goes on in sight, within boxes that scroll, until one scrolls there; and shows a graph as a whole.
const elsewhere = new Set();
let whole = false;

export function sight() {
  const mine = (event) => {
    const box = event.target.closest?.("[data-follow-busy]");
    if (box && (event.type !== "keydown" || /^(Arrow|Page|Home|End| )/.test(event.key))) elsewhere.add(box.id);
  };
  for (const type of ["wheel", "touchmove", "pointerdown", "keydown"]) document.addEventListener(type, mine, { passive: true });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-whole-picture]")) return;
    whole = !whole;
    look();
  });
  look();
  return look;
}

// After each change of the page: its boxes may be new.
function look() {
  const graph = document.querySelector(".graph"), button = document.querySelector("[data-whole-picture]");
  if (graph && button) {
    graph.classList.remove("whole");
    button.hidden = graph.scrollWidth <= graph.clientWidth && graph.scrollHeight <= graph.clientHeight;
    button.setAttribute("aria-pressed", String(whole));
    graph.classList.toggle("whole", whole && !button.hidden);
  }
  for (const box of document.querySelectorAll("[data-follow-busy]")) if (!elsewhere.has(box.id)) show(box);
}

function show(box) {
  const busy = box.querySelector(".box.busy") ?? [...box.querySelectorAll("tr:has(.state.busy)")].at(-1) ?? box.querySelector(".box.bad, tr:has(.state.bad)");
  if (!busy) return;
  const own = busy.getBoundingClientRect(), seen = box.getBoundingClientRect();
  // The head of a table stays above its rows.
  const head = box.querySelector("thead")?.offsetHeight ?? 0;
  const margin = 24;
  if (own.left < seen.left || own.right > seen.right) box.scrollLeft += (own.left + own.right - seen.left - seen.right) / 2;
  if (own.top < seen.top + head) box.scrollTop += own.top - seen.top - head - margin;
  else if (own.bottom > seen.bottom) box.scrollTop += own.bottom - seen.bottom + margin;
}
