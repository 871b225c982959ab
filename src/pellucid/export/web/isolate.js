// The service worker: adds the two headers that allow threads to the page and to scripts of workers, where the server does not send
// them; WebKit requires them of imported scripts, too. It answers nothing else, sends no requests of its own and caches nothing.

const HEADERS = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** In the page's HTML; other pages below the same address stay as they are. */
const MARK = '<meta name="generator" content="Pellucid">';

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { method, mode, destination, url } = event.request;
  if (method !== "GET" || !url.startsWith(self.registration.scope)) return;
  if (mode === "navigate") event.respondWith(fetch(event.request).then(isolatePage));
  else if (destination === "script" || destination === "worker") event.respondWith(fetch(event.request).then(addHeaders));
});

async function isolatePage(response) {
  if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/html")) return response;
  if ((await response.clone().text()).includes(MARK)) return addHeaders(response);
  if (response.url.split(/[?#]/)[0] === self.registration.scope) await self.registration.unregister(); // the page is gone, another is at its address
  return response;
}

function addHeaders(response) {
  if (response.status === 0) return response; // a redirect, which the browser follows
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
