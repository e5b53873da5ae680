// Asks before a form whose act is not easily taken back; one dialog for all.
export function confirmations() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const question = form.dataset?.confirm;
    if (question && !form.dataset.sure) {
      event.preventDefault();
      ask(question, event.submitter?.textContent ?? "Yes").then((sure) => {
        if (!sure) return;
        form.dataset.sure = "1";
        form.requestSubmit();
      });
      return;
    }
    // Twice is no more than once.
    if (form.method === "post") setTimeout(() => form.querySelectorAll("button").forEach((each) => (each.disabled = true)));
  });
  // A page that comes back from the browser's memory can be used again.
  addEventListener("pageshow", () => document.querySelectorAll("form button:disabled").forEach((each) => (each.disabled = false)));
}

function ask(question, yes) {
  const dialog = document.createElement("dialog");
  const text = document.createElement("p");
  const form = document.createElement("form");
  const [sure, not] = [document.createElement("button"), document.createElement("button")];
  text.id = "question";
  text.textContent = question;
  dialog.setAttribute("aria-labelledby", "question");
  form.method = "dialog";
  form.className = "acts";
  [sure.textContent, sure.value, sure.className] = [yes, "yes", "main"];
  [not.textContent, not.value] = ["Leave it", ""];
  form.append(sure, not);
  dialog.append(text, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => {
    dialog.remove();
    done(dialog.returnValue === "yes");
  }));
}
