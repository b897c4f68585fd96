// Improves pages where scripts run; every page works without it.
const lang = document.documentElement.lang;

for (const time of document.querySelectorAll("time")) {
  const format = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
  time.textContent = format.format(new Date(time.dateTime));
}

for (const button of document.querySelectorAll("[data-reveals]")) {
  const field = document.getElementById(button.dataset.reveals);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.classList.toggle("shown", shown);
    field.focus();
  });
  // Hide it again: browsers then offer to save it, and nobody else reads it.
  field.form.addEventListener("submit", () => (field.type = "password"));
}

// A second click while the request is in progress sends nothing.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.ariaBusy === "true") event.preventDefault();
    form.ariaBusy = "true";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.forms) form.ariaBusy = null;
});
