// WebAssembly has threads only on a page that is cross-origin isolated, by two headers. Where the server does not send them, a service
// worker adds them, from the next load of the page on.

/** Milliseconds after which the page is not loaded again; it has threads at the next visit. */
const LONGEST_WAIT = 1000;

/** What a person does with a page; from then on it is not loaded again. */
const USES = ["pointerdown", "keydown", "dragenter", "drop", "paste", "change"];

/** Set in this tab's storage before the page is loaded again, so that this happens once. */
const RELOADED = "pellucid-reloaded";

/** Registers the service worker if threads need it, and loads the page again, once; settles if the page stays, and never fails. */
export async function allowThreads() {
  if (self.crossOriginIsolated !== false || self !== top) return;
  const used = new Promise((resolve) => USES.forEach((use) => addEventListener(use, () => resolve(false), { capture: true, once: true })));
  const late = new Promise((resolve) => setTimeout(resolve, LONGEST_WAIT, false));
  try {
    const mayReload = await Promise.race([register(), used, late]);
    if (!mayReload || sessionStorage.getItem(RELOADED)) return;
    sessionStorage.setItem(RELOADED, "yes");
  } catch {
    return; // there are no service workers, or the browser refuses them or the storage
  }
  location.reload();
  await used; // before the page is gone
  stop();
}

/** Whether the service worker is active. */
async function register() {
  const registration = await navigator.serviceWorker.register(new URL("./isolate.js", import.meta.url));
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  while (!["activated", "redundant"].includes(worker.state)) {
    await new Promise((resolve) => worker.addEventListener("statechange", resolve, { once: true }));
  }
  return worker.state === "activated";
}
