/* Says on other pages that this phone keeps handovers that were not sent, and asks twice before sign-out drops them. */
(async () => {
  const notice = document.querySelector("[data-phone-unsent]");
  if (!notice || !window.indexedDB) return;
  // Asking for a store that isn't there would make it.
  if (indexedDB.databases && !(await indexedDB.databases()).some((one) => one.name === "ban-giao")) return;
  const { rows } = await phoneStore.all();
  const unsent = rows.filter((row) => row.state === "unsent");
  if (!unsent.length) return;
  notice.querySelector("[data-count]").textContent = `${unsent.length} lần bàn giao`;
  notice.querySelector("[data-open]").href += `#${unsent[0].record}`;
  notice.hidden = false;
  for (const form of document.querySelectorAll("form[action$='/logout/']")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.warned) return;
      event.preventDefault();
      event.stopPropagation();
      form.dataset.warned = "1";
      notice.querySelector("p").append(" Đăng xuất sẽ xoá những lần này: bấm Đăng xuất lần nữa nếu vẫn muốn.");
      notice.setAttribute("role", "alert");
      notice.tabIndex = -1;
      notice.focus();
    });
  }
})();
