/* The page for handing over without signal: what the phone keeps is drawn from `phoneStore`, and nothing else. */
(() => {
  const find = (name) => document.querySelector(`[data-${name}]`);
  const show = (name, is) => (find(name).hidden = !is);
  const supported = window.isSecureContext && "serviceWorker" in navigator && window.indexedDB && crypto.randomUUID;
  if (!supported) return show("unsupported", true);

  const fromPath = location.pathname.match(/\/bien-ban\/([^/]+)\//);
  const code = () => decodeURIComponent(location.hash.slice(1)) || (fromPath ? fromPath[1] : "");
  const WORDS = {
    sent: "Đã nối với máy chủ.",
    offline: "Đang không có mạng. Thầy/cô cứ đánh dấu và ghi; điện thoại tự gửi khi có mạng.",
    signin: "Phiên đăng nhập đã hết. Những gì đã ghi vẫn còn trên điện thoại này và sẽ được gửi khi thầy/cô đăng nhập lại.",
    gone: "Tài khoản đang đăng nhập không làm biên bản này, hoặc biên bản không còn. Hãy đăng nhập bằng tài khoản đã lưu danh sách.",
    other: "Danh sách trên điện thoại do tài khoản khác lưu. Hãy đăng nhập bằng tài khoản đó để xem và gửi.",
    busy: "Máy chủ đang bận. Những gì đã ghi vẫn còn trên điện thoại; sẽ gửi lại.",
  };
  let state = navigator.onLine ? "" : "offline";

  function fill(name, row, texts) {
    const part = document.getElementById(name).content.cloneNode(true);
    for (const [key, text] of Object.entries(texts)) for (const node of part.querySelectorAll(`[data-${key}]`)) node.textContent = text;
    part.firstElementChild.dataset.allocation = row.allocation;
    return part;
  }

  const day = (at) => new Date(at).toLocaleDateString("vi-VN", { day: "2-digit", month: "2-digit", year: "numeric" });
  const time = (at) => `${new Date(at).toLocaleTimeString("vi-VN", { hour: "2-digit", minute: "2-digit" })} ngày ${day(at)}`;

  async function draw() {
    const kept = await phoneStore.all();
    const record = kept.records.find((one) => one.code === code());
    const rows = kept.rows.filter((row) => row.record === code());
    const of = (...states) => rows.filter((row) => states.includes(row.state));
    const byName = (one, other) => one.className.localeCompare(other.className, "vi") || one.name.localeCompare(other.name, "vi");
    const hidden = state === "other" || state === "gone";
    const waiting = hidden ? [] : of("waiting").sort(byName);
    const unsent = hidden ? [] : of("unsent").sort(byName);
    const sent = of("recorded", "earlier");
    const review = of("refused", "expired");

    find("state").textContent = WORDS[state] || "Đang nối với máy chủ…";
    show("signin", state === "signin" || state === "gone" || state === "other");
    find("signin").querySelector("a").href = `/tai-khoan/login/?next=${encodeURIComponent(`/ban-giao/dien-thoai/#${code()}`)}`;
    find("where").textContent = record ? [record.code, record.className || "Cả trường", record.school].join(" · ") : "";
    find("counts").textContent = `Chưa gửi: ${of("unsent").length} · Đã gửi: ${sent.length} · Cần xem lại: ${review.length}`;
    show("none", !record && !rows.length);
    if (!code()) {
      find("saved").replaceChildren(...kept.records.map((one) => {
        const part = fill("saved-record", {}, { code: one.code, school: [one.className, one.school].filter(Boolean).join(", ") });
        part.querySelector("a").href = `#${one.code}`;
        return part;
      }));
      show("none", !kept.records.length);
    } else find("saved").replaceChildren();
    show("kept", Boolean(record));
    if (record) {
      const left = Math.ceil((record.savedAt + phoneStore.LIST_DAYS * phoneStore.DAY - Date.now()) / phoneStore.DAY);
      const until = day(record.savedAt + phoneStore.LIST_DAYS * phoneStore.DAY);
      find("until").textContent = left <= 2 ? `Danh sách sẽ bị xoá khỏi điện thoại ngày ${until}: hãy nối mạng trước ngày đó.` : `Danh sách lưu lúc ${time(record.savedAt)}, tự xoá ngày ${until}.`;
    }
    const late = of("unsent").some((row) => Date.now() - row.at > phoneStore.LIST_DAYS * phoneStore.DAY);
    show("late", late);

    show("waiting", waiting.length);
    find("waiting-rows").replaceChildren(...waiting.map((row) => {
      const part = fill("waiting-row", row, { name: row.name, class: row.className, device: row.device });
      part.querySelector("[type=checkbox]").checked = Boolean(row.isTicked);
      part.querySelector("[name=guardian]").value = row.guardian || "";
      return part;
    }));
    countTicked();
    show("unsent", unsent.length);
    find("unsent-rows").replaceChildren(...unsent.map((row) =>
      fill("unsent-row", row, { name: row.name, class: row.className, device: row.device, recipient: row.guardian || "Học sinh", at: time(row.at) })));
    show("sent", sent.length);
    find("sent-rows").replaceChildren(...sent.map((row) => fill("sent-row", row, { device: row.device, text: row.text || "Đã ghi vào biên bản." })));
    show("review", review.length);
    find("review-rows").replaceChildren(...review.map((row) => fill("review-row", row, { device: row.device, text: row.text })));
    for (const link of document.querySelectorAll("[data-record-link]")) link.href = `/ban-giao/bien-ban/${code()}/`;
  }

  function countTicked() {
    const count = find("waiting-rows").querySelectorAll(":checked").length;
    const button = find("write");
    button.textContent = count ? `Ghi ${count} em đã nhận máy` : "Đánh dấu em đã nhận máy rồi ghi";
    button.disabled = !count;
  }

  // A phone says that it is online a moment before anything reaches the server: what failed then is tried again, soon
  // and then ever more slowly.
  const SOONEST = 2000, LATEST = 30000;
  let asked = 0, wait = SOONEST, again;
  async function exchange() {
    if (!code()) return draw();
    const mine = ++asked;
    const result = await phoneStore.send(code());
    if (mine !== asked) return;
    state = result;
    clearTimeout(again);
    if (navigator.onLine && (state === "busy" || state === "offline")) {
      again = setTimeout(exchange, wait);
      wait = Math.min(wait * 2, LATEST);
    } else wait = SOONEST;
    await draw();
  }

  const rowOf = (event) => Number(event.target.closest("[data-allocation]").dataset.allocation);

  document.addEventListener("change", async (event) => {
    const row = event.target.closest("[data-waiting-rows] [data-allocation]");
    if (!row) return;
    const guardian = row.querySelector("[name=guardian]");
    const box = row.querySelector("[type=checkbox]");
    if (event.target === guardian && guardian.value.trim()) box.checked = true;
    countTicked();
    await phoneStore.draft(code(), rowOf(event), { isTicked: box.checked, guardian: guardian.value.trim().slice(0, 80) });
  });

  document.addEventListener("click", async (event) => {
    if (event.target.closest("[data-write]")) {
      // A name that is still being typed belongs to it.
      if (document.activeElement && document.activeElement.blur) document.activeElement.blur();
      const ticked = [...find("waiting-rows").children].filter((row) => row.querySelector(":checked"));
      for (const row of ticked)
        await phoneStore.draft(code(), Number(row.dataset.allocation), { isTicked: true, guardian: row.querySelector("[name=guardian]").value.trim().slice(0, 80) });
      await phoneStore.writeDown(code());
      await draw();
      find("counts").focus();
      const worker = await navigator.serviceWorker.ready;
      if (worker.sync) worker.sync.register("ban-giao").catch(() => {});
      await exchange();
    } else if (event.target.closest("[data-take-back]")) {
      await phoneStore.takeBack(code(), rowOf(event));
      await draw();
    } else if (event.target.closest("[data-send]")) await exchange();
    else if (event.target.closest("[data-wipe]")) find("sure").showModal();
    else if (event.target.closest("[data-keep]")) find("sure").close();
    else if (event.target.closest("[data-wipe-now]")) {
      await phoneStore.wipe();
      location.assign(code() ? `/ban-giao/bien-ban/${code()}/` : "/ban-giao/");
    }
  });

  // iPhones and others without background sync send when the page is open and signal is back.
  window.addEventListener("online", exchange);
  window.addEventListener("offline", () => { state = "offline"; draw(); });
  window.addEventListener("hashchange", exchange);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && exchange());

  async function start() {
    show("page", true);
    await phoneStore.forgetOld();
    await draw();
    try {
      await navigator.serviceWorker.register(document.body.dataset.worker, { scope: "/ban-giao/" });
      if (navigator.storage && navigator.storage.persist) navigator.storage.persist();
    } catch (error) {
      if (navigator.onLine) show("unsupported", true);
    }
    await exchange();
    await navigator.serviceWorker.ready;
    show("ready", true);
  }
  start();
})();
