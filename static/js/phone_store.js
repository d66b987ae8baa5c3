/* What a phone keeps of a handover without signal, and how it is sent. Used by the page and by its service worker.

   records: {code, school, className, owner, savedAt, isSigned}
   rows: {allocation, record, device, state, ...} where state is
     waiting  name, className and, while the teacher is at it, isTicked and guardian
     unsent   the same with key and at: handed over, not sent
     recorded, earlier, refused, expired  device and text only: the server has it, so no name stays here */
const phoneStore = (() => {
  const DAY = 24 * 3600 * 1000;
  const LIST_DAYS = 7;
  const UNSENT_DAYS = 30;

  let opened;
  function database() {
    opened ||= new Promise((resolve, reject) => {
      const request = indexedDB.open("ban-giao", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("records", { keyPath: "code" });
        request.result.createObjectStore("rows", { keyPath: ["record", "allocation"] });
      };
      request.onsuccess = () => {
        request.result.onversionchange = () => request.result.close();
        request.result.onclose = () => (opened = undefined);
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
    });
    return opened;
  }

  /** Read all, let `change` say what to put and what to delete, in one transaction. */
  async function update(change) {
    const db = await database();
    return new Promise((resolve, reject) => {
      const transaction = db.transaction(["records", "rows"], "readwrite", { durability: "strict" });
      const records = transaction.objectStore("records");
      const rows = transaction.objectStore("rows");
      let result;
      records.getAll().onsuccess = ({ target: { result: allRecords } }) => {
        rows.getAll().onsuccess = ({ target: { result: allRows } }) => {
          result = change({ records: allRecords, rows: allRows }, {
            put: (row) => rows.put(row),
            drop: (row) => rows.delete([row.record, row.allocation]),
            putRecord: (record) => records.put(record),
            dropRecord: (record) => records.delete(record.code),
          });
        };
      };
      transaction.oncomplete = () => resolve(result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  }

  const all = () => update((kept) => kept);

  function bare(row, state, text) {
    return { record: row.record, allocation: row.allocation, device: row.device, state, text, doneAt: Date.now() };
  }

  /** Change one row, if it is still in one of the states that `from` names. */
  const change = (record, allocation, from, make) =>
    update(({ rows }, { put }) => {
      const row = rows.find((one) => one.record === record && one.allocation === allocation);
      if (row && from.includes(row.state)) put(make(row));
    });

  const draft = (record, allocation, values) =>
    change(record, allocation, ["waiting"], (row) => ({ ...row, ...values }));

  /** All that is ticked has been handed over, now. */
  const writeDown = (record) =>
    update(({ rows }, { put }) => {
      const ticked = rows.filter((row) => row.record === record && row.state === "waiting" && row.isTicked);
      for (const row of ticked) put({ ...row, state: "unsent", key: crypto.randomUUID(), at: Date.now() });
      return ticked.length;
    });

  const takeBack = (record, allocation) =>
    change(record, allocation, ["unsent"], ({ key, at, ...row }) => ({ ...row, state: "waiting", isTicked: false }));

  const wipe = () =>
    update(({ records, rows }, { drop, dropRecord }) => {
      rows.forEach(drop);
      records.forEach(dropRecord);
    });

  /** Lists older than a week, and what waited for signal for a month, leave the phone. */
  const forgetOld = (now = Date.now()) =>
    update(({ records, rows }, { put, drop, dropRecord }) => {
      const old = new Set(records.filter((one) => now - one.savedAt > LIST_DAYS * DAY).map((one) => one.code));
      const used = new Set();
      for (const row of rows) {
        if (row.state === "unsent" && now - row.at > UNSENT_DAYS * DAY)
          put(bare(row, "expired", "Chờ gửi quá 30 ngày nên đã xoá khỏi điện thoại. Hãy nhập lại từ biên bản giấy."));
        else if (row.state !== "unsent" && row.state !== "expired" && old.has(row.record)) {
          drop(row);
          continue;
        }
        used.add(row.record);
      }
      for (const record of records) if (old.has(record.code) && !used.has(record.code)) dropRecord(record);
    });

  /** Keep the list that the server sent; what is handed over already stays as it is. */
  const keepList = (list) =>
    update(({ rows }, { put, drop, putRecord }) => {
      const { code, school, class_name: className, is_signed: isSigned } = list.record;
      putRecord({ code, school, className, isSigned, owner: list.owner, savedAt: Date.now() });
      const mine = new Map(rows.filter((row) => row.record === code).map((row) => [row.allocation, row]));
      for (const { allocation, device, name, class_name: className } of list.rows) {
        const known = mine.get(allocation);
        mine.delete(allocation);
        if (known && known.state === "unsent") continue;
        const drafted = known && known.state === "waiting" ? known : {};
        put({ ...drafted, record: code, allocation, device, name, className, state: "waiting" });
      }
      for (const row of mine.values()) {
        if (row.state !== "waiting") continue;
        if (row.isTicked) put(bare(row, "refused", "Danh sách đã đổi: máy này không còn chờ giao cho em đó. Chưa ghi bàn giao."));
        else drop(row);
      }
    });

  const keepAnswers = (code, answers) =>
    update(({ rows }, { put }) => {
      const said = new Map(answers.map((one) => [one.key, one]));
      for (const row of rows) {
        const answer = row.record === code && row.state === "unsent" && said.get(row.key);
        if (answer) put(bare(row, answer.outcome, answer.text));
      }
    });

  async function ask(code, options = {}) {
    let response;
    try {
      response = await fetch(`/ban-giao/bien-ban/${encodeURIComponent(code)}/dien-thoai/`, {
        cache: "no-store",
        ...options,
        headers: { Accept: "application/json", ...options.headers },
      });
    } catch {
      return { problem: "offline" };
    }
    if (response.status === 401) return { problem: "signin" };
    if (response.status === 404) return { problem: "gone" };
    const isJson = (response.headers.get("Content-Type") || "").startsWith("application/json");
    if (!response.ok || !isJson) return { problem: "busy" };
    return response.json();
  }

  async function sendNow(code) {
    const list = await ask(code);
    if (list.problem) return list.problem;
    const { records, rows } = await all();
    const known = records.find((one) => one.code === code);
    const unsent = rows.filter((row) => row.record === code && row.state === "unsent");
    if (known && known.owner !== list.owner && unsent.length) return "other";
    if (!unsent.length) {
      await keepList(list);
      return "sent";
    }
    const body = unsent.map((row) => ({
      key: row.key,
      allocation: row.allocation,
      device: row.device,
      guardian_name: (row.guardian || "").trim(),
      age_s: Math.min(Math.max(0, Math.round((Date.now() - row.at) / 1000)), 365 * 24 * 3600),
    }));
    const sent = await ask(code, {
      method: "POST",
      body: JSON.stringify({ rows: body }),
      headers: { "Content-Type": "application/json", "X-CSRFToken": list.token },
    });
    if (sent.problem) return sent.problem;
    await keepAnswers(code, sent.answers);
    await keepList(sent);
    return "sent";
  }

  /** Send what waits and fetch the list anew. One at a time, page and worker together.
      Returns sent, offline, signin, gone (not for this account), other (another account's list) or busy. */
  const send = (code) =>
    navigator.locks ? navigator.locks.request("ban-giao", () => sendNow(code)) : sendNow(code);

  async function sendAll() {
    const { rows } = await all();
    const codes = new Set(rows.filter((row) => row.state === "unsent").map((row) => row.record));
    for (const code of codes) if ((await send(code)) === "offline") throw new Error("offline");
  }

  return { DAY, LIST_DAYS, UNSENT_DAYS, all, draft, writeDown, takeBack, wipe, forgetOld, send, sendAll };
})();
