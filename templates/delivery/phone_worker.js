/* The worker of the phone's handover page. It keeps that page and its files, nothing else; below /ban-giao/ a page that
   can't come for want of signal is answered with it. */
const KEPT = {{ settings|safe }};
const NAME = "ban-giao-" + KEPT.version;
importScripts("{{ store }}");

async function keep() {
  const cache = await caches.open(NAME);
  await cache.addAll(KEPT.files.map((file) => new Request(file, { cache: "reload" })));
  const page = await fetch(KEPT.page, { cache: "reload" });
  if (!page.ok || page.redirected) throw new Error("sign in first");
  await cache.put(KEPT.page, page);
}

async function forgetOthers() {
  for (const name of await caches.keys()) if (name.startsWith("ban-giao-") && name !== NAME) await caches.delete(name);
  await self.clients.claim();
}

async function page(request) {
  const kept = await caches.match(KEPT.page);
  if (kept && new URL(request.url).pathname === KEPT.page) return kept;
  try {
    return await fetch(request);
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keep());
});
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (KEPT.files.includes(new URL(request.url).pathname))
    event.respondWith(caches.match(request).then((kept) => kept || fetch(request)));
});
// Where the browser can, what is written goes out when signal is back, though the page is closed.
self.addEventListener("sync", (event) => {
  if (event.tag === "ban-giao") event.waitUntil(phoneStore.sendAll());
});
