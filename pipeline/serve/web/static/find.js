// Finds while one types: among the rows of this page at once, and on the server where that has more of them.
export function find() {
  document.querySelectorAll("[data-submit]").forEach((each) => each.addEventListener("change", () => each.form.requestSubmit()));
  const input = document.querySelector("[data-find]");
  if (!input) return;
  input.hidden = false;
  let timer = 0;
  input.addEventListener("input", () => {
    narrow(input);
    clearTimeout(timer);
    if (input.form) timer = setTimeout(() => refresh(input), 250);
  });
  input.form?.addEventListener("submit", () => clearTimeout(timer));
}

export function narrow(input = document.querySelector("[data-find]")) {
  if (!input) return;
  const text = input.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("[data-row]")) row.hidden = !row.textContent.toLowerCase().includes(text);
}

async function refresh(input) {
  const url = new URL(location.href);
  const text = input.value.trim();
  if (text) url.searchParams.set("q", text);
  else url.searchParams.delete("q");
  url.searchParams.delete("skip");
  if (url.href === location.href) return;
  history.replaceState(null, "", url);
  document.dispatchEvent(new CustomEvent("parts-wanted"));
}
