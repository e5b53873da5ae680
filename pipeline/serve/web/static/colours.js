// The switch between light, dark and the system's colours, kept for this browser.
const ORDER = ["system", "light", "dark"];
const WORDS = { system: "as the system has them", light: "light", dark: "dark" };

export function colours() {
  const button = document.querySelector("[data-theme-switch]");
  if (!button) return;
  const show = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", `Colours: ${WORDS[theme]}`);
    button.title = `Colours: ${WORDS[theme]} (t)`;
  };
  let theme = document.documentElement.dataset.theme ?? "system";
  button.hidden = false;
  show(theme);
  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    show(theme);
    try {
      if (theme === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch { /* It holds for this page alone. */ }
  });
}
