// The keys of the console, and boxes that choose rows; every page works without it.
const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);

const dialog = one("#keys");
const search = one("[data-search]");
const switched = one("#keys-on");
const STORED = "gatelodge-keys"; // single keys can be switched off (WCAG 2.2, 2.1.4)
const kept = (act) => {
  try {
    return act(localStorage);
  } catch {
    return null; // the browser keeps nothing
  }
};
switched.checked = kept((storage) => storage.getItem(STORED)) !== "off";

const show = () => {
  if (search) search.parentElement.querySelector("kbd").hidden = !switched.checked;
};
switched.addEventListener("change", () => {
  kept((storage) => storage.setItem(STORED, switched.checked ? "on" : "off"));
  show();
});
show();

for (const button of all("[data-opens=keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => dialog.showModal());
}
one("[data-closes]").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

const rows = () => all(".rows .opens").filter((each) => each.checkVisibility());
const rowOf = (element) => element?.closest(".rows > *");
const here = () => rows().findIndex((each) => rowOf(each) === rowOf(document.activeElement));

const go = (step) => {
  const links = rows();
  const at = here();
  const next = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + step))];
  next?.focus();
  rowOf(next)?.scrollIntoView({ block: "nearest" });
};

const KEYS = {
  "/": () => search?.select(),
  j: () => go(1),
  k: () => go(-1),
  x: () => rowOf(document.activeElement)?.querySelector("[data-picks] input")?.click(),
  n: () => one("[rel=next]")?.click(),
  "?": () => dialog.showModal(),
};

let waits = 0; // since when a key after `g` is awaited
addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = target.closest("textarea, select, [contenteditable], input:not([type=checkbox])");
  if (typing) {
    if (key === "Escape" && target === search) search.blur();
    return;
  }
  if (!switched.checked || dialog.open) return;
  const section = Date.now() - waits < 1500 && one(`.side [data-key="${CSS.escape(key)}"]`);
  waits = key === "g" && !section ? Date.now() : 0;
  const act = section ? () => section.click() : Object.hasOwn(KEYS, key) && KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
});

// All boxes of a table at once, and how many are ticked.
for (const every of all("[data-picks-all]")) {
  const form = every.form;
  const boxes = [...form.querySelectorAll("[data-picks] input")];
  const told = form.querySelector("[data-told]");
  const count = () => {
    const ticked = boxes.filter((each) => each.checked).length;
    every.checked = ticked > 0 && ticked === boxes.length;
    every.indeterminate = ticked > 0 && ticked < boxes.length;
    told.textContent = ticked ? told.dataset.told.replace("{}", ticked) : told.dataset.none;
    for (const button of form.querySelectorAll("[data-needs]")) button.disabled = ticked === 0;
  };
  every.closest("[hidden]")?.removeAttribute("hidden");
  every.addEventListener("change", () => {
    for (const each of boxes) each.checked = every.checked;
    count();
  });
  for (const each of boxes) each.addEventListener("change", count);
  addEventListener("pageshow", count); // browsers tick again what was ticked
  count();
}

// Events as they happen, at the top of their list; they stop while nobody looks.
const list = one("[data-live]");
if (list) {
  const button = one("[data-pauses]");
  const sign = one("[data-is-live]");
  const words = { [false]: button.textContent, [true]: button.dataset.pauses };
  const known = new Set([...list.rows].map((row) => row.dataset.id));
  const address = new URL(list.dataset.live, location);
  let source = null;
  let paused = false;

  const arrived = ({ data }) => {
    const event = JSON.parse(data);
    address.searchParams.set("after", event.id);
    if (known.has(event.id)) return;
    known.add(event.id);
    const row = one("#row").firstElementChild.cloneNode(true);
    const told = {
      name: event.name,
      by: event.actorName ?? event.actor,
      to: event.targetName ?? event.target,
      address: event.address,
      at: new Date(event.at).toLocaleTimeString(document.documentElement.lang),
    };
    for (const each of row.querySelectorAll("[data-is]")) {
      each.textContent = told[each.dataset.is] ?? each.dataset.none ?? "";
    }
    row.querySelector("a").href += event.id;
    row.dataset.id = event.id;
    list.prepend(row);
    list.closest(".panel").querySelector(".empty")?.remove();
    while (list.rows.length > 200) list.lastElementChild.remove();
  };
  const follow = () => {
    source?.close();
    source = null;
    sign.hidden = true;
    if (paused || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("open", () => (sign.hidden = false));
    source.addEventListener("message", arrived);
    source.addEventListener("error", () => {
      sign.hidden = true;
      if (source?.readyState === EventSource.CLOSED) setTimeout(follow, 10_000); // it was refused
    });
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = words[paused];
    follow();
  });
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", ({ persisted }) => persisted && follow());
  follow();
}
