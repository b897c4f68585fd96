// What a page does more with JavaScript; it misses nothing without.
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
  // So that browsers offer to save it, and nobody reads it over a shoulder meanwhile.
  field.form.addEventListener("submit", () => (field.type = "password"));
}

// A second click while the first is on its way sends nothing.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.ariaBusy === "true") event.preventDefault();
    form.ariaBusy = "true";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.forms) form.ariaBusy = null;
});
