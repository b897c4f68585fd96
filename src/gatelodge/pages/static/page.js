// Improves pages where scripts run; every page works without it.
const lang = document.documentElement.lang;
const all = (selector) => document.querySelectorAll(selector);

for (const time of all("time")) {
  const format = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
  const local = format.format(new Date(time.dateTime));
  if (time.title) time.title = local;
  else time.textContent = local;
}

for (const button of all("[data-reveals]")) {
  const field = document.getElementById(button.dataset.reveals);
  const show = (shown) => {
    const { selectionStart, selectionEnd } = field;
    field.type = shown ? "text" : "password";
    field.setSelectionRange(selectionStart, selectionEnd);
    button.setAttribute("aria-pressed", shown);
  };
  button.hidden = false;
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays
  button.addEventListener("click", () => show(field.type === "password"));
  // Hide it again: browsers then offer to save it, and nobody else reads it.
  field.form.addEventListener("submit", () => show(false));
}

// The server's rules, in the order in which it applies them; it has more than these.
const faultOf = (field, rules) => {
  const secret = field.autocomplete === "new-password";
  const text = secret ? field.value.normalize("NFC") : field.value.normalize("NFKC").trim();
  const size = [...text].length;
  const breaks = ({ least, most, pattern }) =>
    size < least || size > most || !new RegExp(`^(?:${pattern})$`, "isu").test(text);
  return field.value && (rules.find(breaks)?.says ?? "");
};

for (const field of all("[data-rules]")) {
  const rules = JSON.parse(field.dataset.rules);
  const line = document.getElementById(`${field.id}-problem`);
  const hint = document.getElementById(`${field.id}-hint`);
  let told = line.textContent !== "";
  const look = () => {
    const fault = faultOf(field, rules);
    field.closest(".field").classList.toggle("good", field.value !== "" && !fault);
    if (!told) return;
    line.textContent = fault;
    field.ariaInvalid = fault ? "true" : null;
    field.setAttribute("aria-describedby", (fault && line.id) || (hint?.id ?? ""));
  };
  field.addEventListener("input", look);
  field.addEventListener("change", () => {
    told = true; // not before the reader has left the field
    look();
  });
}

// A second click while the request is in progress sends nothing.
for (const form of document.forms) {
  const button = form.querySelector("[data-busy]");
  const words = [...(button?.childNodes ?? [])];
  const rest = () => {
    form.ariaBusy = null;
    button?.replaceChildren(...words);
  };
  form.addEventListener("submit", (event) => {
    if (form.ariaBusy === "true") return event.preventDefault();
    form.ariaBusy = "true";
    if (button) button.textContent = button.dataset.busy;
    setTimeout(rest, 20000); // an answer that is lost must not leave the form dead
  });
  addEventListener("pageshow", rest);
  form.addEventListener("rest", rest); // another script has no answer to send
}

document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

for (const menu of all("details.menu, details.filters")) {
  addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
  menu.addEventListener("focusout", ({ relatedTarget: next }) => {
    if (next && !menu.contains(next)) menu.open = false; // it would cover what has the focus
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
