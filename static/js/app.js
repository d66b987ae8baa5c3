// Small conveniences; every page works without them.
document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const status = document.getElementById(copy.getAttribute("aria-describedby"));
    await navigator.clipboard.writeText(copy.dataset.copy);
    if (status) status.textContent = copy.dataset.copied || "Đã sao chép";
  }
  const printer = event.target.closest("[data-print]");
  if (printer) window.print();
  const tick = event.target.closest("[data-tick]");
  if (tick) {
    for (const box of tick.form.querySelectorAll("input[type=checkbox]")) box.checked = true;
    count(tick.form);
  }
});
// How many rows a button is about to settle, said on the button.
function count(form) {
  const place = form?.querySelector("[data-ticked]");
  if (place) place.textContent = form.querySelectorAll("input[type=checkbox]:checked").length || "các";
}
document.addEventListener("change", (event) => count(event.target.form));
// What an old browser can't do stays out of its page, and the page says so where it matters: a check that never ran
// must not look like one that failed.
const able = { proof: window.fetch && window.crypto && crypto.subtle, clipboard: navigator.clipboard };
for (const element of document.querySelectorAll("[data-js]")) element.hidden = element.dataset.js in able && !able[element.dataset.js];
for (const element of document.querySelectorAll("[data-without]")) element.hidden = Boolean(able[element.dataset.without]);
const bar = document.querySelector(".staffbar ul");
const room = bar?.querySelector("[aria-current]");
if (room) bar.scrollLeft = room.offsetLeft - bar.offsetLeft - (bar.clientWidth - room.offsetWidth) / 2;
const summary = document.querySelector(".error-summary");
if (summary) summary.focus();
// A second click on a slow line must not send the form twice; the server refuses it too.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  else {
    event.target.dataset.sent = "1";
    setTimeout(() => delete event.target.dataset.sent, 5000);
  }
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    count(form);
  }
});
