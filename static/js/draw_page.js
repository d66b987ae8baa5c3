/* The run's public page: recompute the seed and the draw with draw.js, entirely in the reader's browser. */
(function () {
  const box = document.querySelector("[data-lottery]");
  if (!box) return;
  const text = (name) => document.querySelector("[data-" + name + "]").textContent.trim();
  const result = box.querySelector("[data-result]");

  function say(sentence) {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    result.append(paragraph);
  }

  function cells(csv) {
    const found = new Map();
    for (const line of csv.trim().split("\n").slice(1)) {
      const [code, cell, served] = line.split(",");
      if (!found.has(cell)) found.set(cell, []);
      found.get(cell).push({ code, served: served !== "no" });
    }
    return found;
  }

  box.querySelector("[data-recompute]").addEventListener("click", async () => {
    result.replaceChildren();
    const seed = await lottery.seed(text("root"), text("randomness"));
    say(seed === text("seed") ? "Hạt giống tính lại đúng bằng hạt giống đã công bố." : "Hạt giống tính lại KHÁC số đã công bố.");
    const code = document.getElementById("ma-phieu").value.replace(/\s/g, "").toLowerCase();
    if (code) say("Số bốc thăm của mã " + code + ": " + (await lottery.lot(seed, code)).slice(0, 16) + "…");
    if (!box.dataset.file) return;
    const all = cells(await (await fetch(box.dataset.file)).text());
    let count = 0;
    for (const members of all.values()) count += members.length;
    say("Tệp bốc thăm có " + count.toLocaleString("vi") + " mã trong " + all.size.toLocaleString("vi") + " ô.");
    for (const [cell, members] of all) {
      const mine = members.find((member) => member.code === code);
      if (!mine) continue;
      const order = await lottery.drawOrder(seed, members.map((member) => member.code));
      say(
        "Mã của bạn ở ô " + cell + ", đứng thứ " + (order.indexOf(code) + 1).toLocaleString("vi") + " trong " +
        members.length.toLocaleString("vi") + " mã; kết quả: " + (mine.served ? "được nhận máy." : "chưa được nhận máy ở đợt này.")
      );
      return;
    }
    if (code) say("Không có mã này trong đợt. Xin xem lại phiếu.");
  });
})();
