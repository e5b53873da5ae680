// Sets the colours that somebody chose before anything is drawn; so it is no module, which would come later.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* No storage: the system's colours. */ }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
