// A service worker that adds two headers to the page's own files: with them a browser allows WebAssembly threads, whatever the file server
// sends. It keeps nothing, and asks for nothing but what the page asks for.

const HEADERS = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(
    fetch(request).then(({ body, status, statusText, headers: sent, type }) => {
      const headers = new Headers(sent);
      for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
      const empty = [101, 204, 205, 304].includes(status);
      return type === "error" ? Response.error() : new Response(empty ? null : body, { status, statusText, headers });
    }),
  );
});
