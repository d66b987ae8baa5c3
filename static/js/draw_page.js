/* The run's public page: recompute the seed and the draw with draw.js, entirely in the reader's browser.
   The code on the family's slip is never sent: it comes from the field, or from behind # in the address. */
(function () {
  const form = document.querySelector("[data-lottery]");
  if (!form) return;
  // Beyond this many codes the whole draw is left to the stand-alone verifier; one's own cell is always checked.
  const WHOLE_UP_TO = 200000;
  const CODE = /^[0-9a-f]{16}$/;
  const field = form.querySelector("input");
  const result = form.querySelector("[data-result]");
  const text = (name) => document.querySelector("[data-" + name + "]").textContent.trim();
  const number = (value) => value.toLocaleString("vi-VN");
  const groups = form.dataset.groups.split("|");

  function say(sentence, isWrong) {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    if (isWrong) paragraph.className = "text-danger";
    result.append(paragraph);
  }

  function place(area) {
    const option = document.querySelector('#ten-noi option[value="' + area + '"]');
    return option ? option.textContent : "cả nước";
  }

  function words(cell) {
    if (cell.startsWith("*")) return "ô gộp của " + place(cell.slice(1));
    const at = cell.indexOf("-");
    const [locality, group, child] = cell.slice(0, at).split(".").map(Number);
    return (
      "bậc " + cell.slice(0, at) + " (" + groups[group - 1] + ", " +
      (locality === 1 ? "địa phương Chỉ thị 16" : "địa phương khác") + ", suất thứ " + child + " của hộ), " + place(cell.slice(at + 1))
    );
  }

  function read(csv) {
    const cells = new Map();
    for (const line of csv.trim().split("\n").slice(1)) {
      const [code, cell, served] = line.split(",");
      if (!cells.has(cell)) cells.set(cell, []);
      cells.get(cell).push({ code, served });
    }
    return cells;
  }

  /** Whether everyone served by the draw comes before everyone who was not; a merged cell has no one order. */
  async function inOrder(seed, cell, members) {
    if (cell.startsWith("*")) return true;
    const drawn = members.filter((member) => member.served !== "earmark");
    const served = new Map(drawn.map((member) => [member.code, member.served === "draw"]));
    let ended = false;
    for (const code of await lottery.drawOrder(seed, drawn.map((member) => member.code))) {
      if (!served.get(code)) ended = true;
      else if (ended) return false;
    }
    return true;
  }

  async function tellOwn(seed, code, cells) {
    for (const [cell, members] of cells) {
      const mine = members.find((member) => member.code === code);
      if (!mine) continue;
      const words_of = { no: "chưa được nhận máy ở đợt này; em vẫn trong danh sách chờ.", draw: "được nhận máy chung.", earmark: "được nhận máy dành riêng cho nơi của em." };
      say("Kết quả đã công bố: " + words_of[mine.served]);
      say("Số bốc thăm của mã " + code + ": " + (await lottery.lot(seed, code)).slice(0, 16) + "… (số nhỏ hơn đứng trước).");
      say("Mã của bạn ở " + words(cell) + ".");
      if (cell.startsWith("*")) {
        say("Ô này gộp các bậc có dưới 10 em để không ai bị nhận ra, nên không có một thứ tự chung.");
      } else {
        const order = await lottery.drawOrder(seed, members.map((member) => member.code));
        say("Theo bốc thăm, mã của bạn đứng thứ " + number(order.indexOf(code) + 1) + " trong " + number(members.length) + " mã cùng ô.");
      }
      return;
    }
    say("Không có mã này trong đợt. Xin xem lại từng ký tự trên phiếu, và xem phiếu có đúng là của đợt này không.", true);
  }

  async function published() {
    const answer = await fetch(form.dataset.file);
    if (!answer.ok) throw new Error(String(answer.status));
    return read(await answer.text());
  }

  async function recompute() {
    const code = field.value.replace(/[\s-]/g, "").toLowerCase();
    if (code && !CODE.test(code)) {
      say("Mã trên phiếu có 16 ký tự, gồm chữ số và chữ cái từ a đến f. Bạn đã gõ " + code.length + " ký tự.", true);
      return;
    }
    const seed = await lottery.seed(text("root"), text("randomness"));
    const cells = form.dataset.file ? await published() : null;
    // What a family asks first; how it came about and its check after that.
    if (code && cells) await tellOwn(seed, code, cells);
    const same = seed === text("seed");
    say(same ? "Hạt giống tính lại đúng bằng hạt giống đã công bố." : "Hạt giống tính lại KHÁC hạt giống đã công bố. Xin báo cho chúng tôi ở trang Phản ánh.", !same);
    if (!cells) {
      if (code) say("Số bốc thăm của mã " + code + ": " + (await lottery.lot(seed, code)).slice(0, 16) + "…");
      say("Tệp kết quả của đợt chưa công bố; khi có, bạn tính lại được cả thứ tự.");
      return;
    }
    let count = 0;
    for (const members of cells.values()) count += members.length;
    if (count > WHOLE_UP_TO) {
      say("Tệp có " + number(count) + " mã, quá nhiều để tính cả đợt trong trình duyệt; chương trình kiểm tra độc lập tính được.");
      return;
    }
    const wrong = [];
    for (const [cell, members] of cells) if (!(await inOrder(seed, cell, members))) wrong.push(words(cell));
    say(
      wrong.length
        ? "Có ô không theo đúng thứ tự bốc thăm: " + wrong.join("; ") + "."
        : "Đã tính lại " + number(count) + " mã trong " + number(cells.size) + " ô: ai được máy nhờ bốc thăm đều có số nhỏ hơn người chưa được trong cùng ô.",
      wrong.length > 0
    );
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    result.replaceChildren();
    try {
      await recompute();
    } catch (error) {
      say("Chưa tải được tệp bốc thăm. Xin kiểm tra kết nối mạng rồi thử lại.", true);
    }
    button.disabled = false;
    delete form.dataset.sent;
  });

  const given = location.hash.slice(1).toLowerCase();
  if (CODE.test(given)) {
    field.value = given.match(/.{4}/g).join(" ");
    form.scrollIntoView();
  }
})();
