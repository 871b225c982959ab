// Gets the page the threads that browsers give to isolated pages only: a service worker adds the headers, and the page is loaded again once.

const TRIED = "pellucid-isolation";

/** Milliseconds after which the page goes on with one thread. */
const PATIENCE = 4000;

/** Resolves where the page is isolated or can't be; otherwise loads it again. */
export async function isolate() {
  const possible = !crossOriginIsolated && isSecureContext && "serviceWorker" in navigator;
  if (!possible || new URLSearchParams(location.search).get("threads") === "1") return;
  try {
    if (sessionStorage.getItem(TRIED)) return; // once is enough: some browsers never allow it
    sessionStorage.setItem(TRIED, "1");
    await navigator.serviceWorker.register(new URL("./isolation.js", import.meta.url));
    const isActive = navigator.serviceWorker.ready.then(() => true);
    if (!(await Promise.race([isActive, new Promise((resolve) => setTimeout(resolve, PATIENCE))]))) return;
    location.reload();
    await new Promise(() => {}); // nothing is loaded twice
  } catch (error) {
    console.warn(`One thread: ${error.message}`);
  }
}
