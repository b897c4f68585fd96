// Asks the browser for a passkey, and posts its answer with the form of the page. The server checks
// it, and answers with a page as it does for every form.
const forms = [...document.querySelectorAll("form[data-passkey]")];
const RENEWED = 4 * 60_000; // a question works for 5 minutes
const TRIED = "gatelodge-passkey"; // the last passkey that was sent from this tab

// The options and answers are JSON with base64url in it (WebAuthn Level 3, section 5.1). Browsers
// have functions for that since 2025; these few lines do for the others too.
const bytesOf = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
const textOf = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const optionsOf = (json) => {
  const options = { ...json, challenge: bytesOf(json.challenge) };
  if (json.user) options.user = { ...json.user, id: bytesOf(json.user.id) };
  for (const name of ["allowCredentials", "excludeCredentials"])
    options[name] = json[name]?.map((each) => ({ ...each, id: bytesOf(each.id) }));
  return options;
};

const jsonOf = ({ rawId, type, authenticatorAttachment, response }) => {
  const id = textOf(rawId);
  const said = { transports: response.getTransports?.() };
  for (const name of [
    "clientDataJSON",
    "attestationObject",
    "authenticatorData",
    "signature",
    "userHandle",
  ])
    if (response[name]) said[name] = textOf(response[name]);
  return { id, rawId: id, type, authenticatorAttachment, response: said, clientExtensionResults: {} };
};

// One request at a time: a button ends the one that waits in the autofill.
let asking = null;
const ask = async (form, mediation) => {
  const before = asking;
  const mine = { end: new AbortController(), byButton: !mediation };
  const done = Promise.resolve(before?.done).then(() => post(form, mediation, mine.end.signal));
  mine.done = done.catch(() => {}); // else the browser would refuse a second request
  asking = mine;
  before?.end.abort();
  try {
    await done;
  } finally {
    if (asking === mine) asking = null;
  }
};

const post = async (form, mediation, signal) => {
  const { options, passkey, sends } = form.dataset;
  const headers = { Accept: "application/json" };
  const body = sends === undefined ? undefined : new URLSearchParams(new FormData(form));
  const answer = await fetch(options, { method: "POST", headers, body, redirect: "manual", signal });
  // What the page was for is over, or needs a new proof: the page itself leads on.
  if (answer.status === 401 || answer.type === "opaqueredirect") return location.reload();
  // What is wrong with the fields: without a passkey, the form is refused for it, and shown again.
  if (body && answer.status < 500 && !answer.ok) return form.submit();
  if (!answer.ok) throw new Error(`${options}: ${answer.status}`);
  const asked = await answer.json();
  const publicKey = optionsOf(asked.publicKey);
  const credential = await navigator.credentials[passkey]({ publicKey, signal, mediation });
  signal.throwIfAborted();
  const { challenge, credential: field } = form.elements;
  if (challenge) challenge.value = asked.challenge;
  field.value = JSON.stringify(jsonOf(credential));
  sessionStorage.setItem(TRIED, textOf(credential.rawId));
  form.submit();
};

const tell = (form, sentence) => {
  const line = form.querySelector("[role=alert]");
  line.hidden = !sentence;
  line.lastElementChild.textContent = sentence;
};

// In the autofill of the username field. What goes wrong there is not told: the password is there.
const offer = async (form) => {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  if (asking?.byButton) return;
  const asked = ask(form, "conditional").catch(() => {});
  const { signal } = asking.end;
  const renew = () => {
    if (signal.aborted) return;
    if (document.hidden) document.addEventListener("visibilitychange", renew, { once: true });
    else offer(form);
  };
  const renewal = setTimeout(renew, RENEWED);
  signal.addEventListener("abort", () => clearTimeout(renewal));
  await asked;
};

const start = (form) => {
  form.hidden = false;
  form.querySelector("[autofocus]")?.focus(); // it was hidden when the page opened
  for (const each of document.querySelectorAll("[data-passkey-needs]")) each.hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(form, "");
    try {
      await ask(form);
    } catch (error) {
      if (error.name === "AbortError") return; // a newer request has begun
      const says = JSON.parse(form.dataset.says);
      tell(form, says[error.name] ?? says.other);
      form.dispatchEvent(new Event("rest"));
      if ("offered" in form.dataset) offer(form);
    }
  });
  if ("offered" in form.dataset) offer(form);
};

// Passkeys that the server does not know are not offered any more, and names are up to date, where
// the browser can tell the authenticator (WebAuthn Level 3, section 5.1.10).
const signal = (name, facts) =>
  PublicKeyCredential[`signal${name}`]?.(facts).catch(() => {}); // nothing depends on it

const signalAll = () => {
  const tried = sessionStorage.getItem(TRIED);
  sessionStorage.removeItem(TRIED);
  const unknown = document.querySelector("[data-passkey-unknown]");
  if (unknown && tried)
    signal("UnknownCredential", { rpId: unknown.dataset.passkeyUnknown, credentialId: tried });
  const known = document.querySelector("[data-passkeys]");
  if (!known) return;
  const { rpId, userId, ids, name, displayName } = JSON.parse(known.dataset.passkeys);
  signal("AllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds: ids });
  signal("CurrentUserDetails", { rpId, userId, name, displayName });
};

// Only over TLS or on this machine, and only at the addresses that the server takes answers from.
if ("PublicKeyCredential" in window) {
  for (const form of forms)
    if (form.dataset.origins.split(" ").includes(location.origin)) start(form);
  signalAll();
}
