/* The log's proofs checked in the reader's own browser (RFC 6962, C2SP tlog-proof and signed-note).
   Needs the Web Crypto of a secure page; where it has no Ed25519 the hashes are still checked, and it says so. */
(() => {
  const utf8 = new TextEncoder();
  const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  const fromHex = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
  const joined = (...parts) => {
    const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  };
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
  const same = (one, other) => toHex(one) === toHex(other);

  /** RFC 8785 bytes of strings, integers and objects of those. */
  function canonical(value) {
    if (typeof value !== "object") return JSON.stringify(value);
    if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
    const pairs = Object.keys(value).sort();
    return `{${pairs.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }

  /** Root that the audit path leads to (RFC 9162 2.1.3.2). */
  async function rootOf(leaf, index, size, path) {
    let at = index;
    let last = size - 1;
    let root = leaf;
    for (const step of path) {
      if (last === 0) throw new Error("path too long");
      if (at % 2 === 1 || at === last) {
        root = await sha256(Uint8Array.of(1), step, root);
        while (at % 2 === 0 && at !== 0) {
          at = Math.floor(at / 2);
          last = Math.floor(last / 2);
        }
      } else root = await sha256(Uint8Array.of(1), root, step);
      at = Math.floor(at / 2);
      last = Math.floor(last / 2);
    }
    if (last !== 0) throw new Error("path too short");
    return root;
  }

  /** True when a key of the log signed the note, null when this browser can't tell; throws when none did. */
  async function signed(text, lines, keys) {
    for (const key of keys.trim().split("\n")) {
      const [name, id, ...rest] = key.split("+");
      const bytes = fromBase64(rest.join("+"));
      for (const line of lines) {
        const [, signer, encoded] = line.split(" ");
        const signature = fromBase64(encoded);
        if (signer !== name || toHex(signature.slice(0, 4)) !== id || bytes[0] !== 1) continue;
        let imported;
        try {
          imported = await crypto.subtle.importKey("raw", bytes.slice(1), "Ed25519", false, ["verify"]);
        } catch {
          return null;
        }
        if (await crypto.subtle.verify("Ed25519", imported, signature.slice(4), utf8.encode(text))) return true;
        throw new Error("wrong signature");
      }
    }
    throw new Error("not signed by the log");
  }

  /** Check a .tlog-proof text: {entry, signed}; throws when anything doesn't fit. */
  async function check(proof, keys) {
    const cut = proof.indexOf("\n\n");
    const [first, extra, indexLine, ...path] = proof.slice(0, cut).split("\n");
    if (first !== "c2sp.org/tlog-proof@v1") throw new Error("not a receipt");
    const { entry } = JSON.parse(new TextDecoder().decode(fromBase64(extra.replace("extra ", ""))));
    const note = proof.slice(cut + 2);
    const end = note.lastIndexOf("\n\n");
    const text = note.slice(0, end + 1);
    const [, size, root] = text.split("\n");
    const leaf = await sha256(Uint8Array.of(0), utf8.encode(canonical(entry)));
    const index = Number(indexLine.replace("index ", ""));
    if (!same(await rootOf(leaf, index, Number(size), path.map(fromBase64)), fromBase64(root))) throw new Error("another root");
    return { entry, signed: await signed(text, note.slice(end + 2).trim().split("\n"), keys) };
  }

  /** The receipt with what opens its commitments in it: it verifies offline, and never was on a server. */
  function withOpenings(proof, openings) {
    const lines = proof.split("\n");
    const { entry } = JSON.parse(new TextDecoder().decode(fromBase64(lines[1].replace("extra ", ""))));
    const bytes = utf8.encode(canonical({ entry, open: openings }));
    lines[1] = `extra ${btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""))}`;
    return lines.join("\n");
  }

  async function commitment(field, value, saltHex) {
    return toHex(await sha256(utf8.encode("mtce/commit/v1\0"), fromHex(saltHex), utf8.encode(canonical([field, value]))));
  }

  const FIELDS = ["recipient", "guardian", "school", "date", "record", "photo", "report", "donor", "serial", "imei", "evidence"];

  /** What stands behind the # of a family's address (`ledger/receipts.py`): {d: device, e: event id, o: openings}. */
  function unpacked(text) {
    const decode = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!/^\d+$/.test(text)) return JSON.parse(decode(fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"))));
    const hex = BigInt(text).toString(16);
    const data = fromHex(hex.padStart(hex.length + (hex.length % 2), "0"));
    if (data[0] !== 1) throw new Error("another version");
    const opened = { d: decode(data.slice(1, 13)), e: toHex(data.slice(13, 29)), o: {} };
    for (let at = 29; at < data.length; ) {
      const from = at + 35;
      const end = from + data[at + 33] * 256 + data[at + 34];
      if (!FIELDS[data[at]] || !(end <= data.length)) throw new Error("cut");
      opened.o[FIELDS[data[at]]] = { salt: toHex(data.slice(at + 1, at + 33)), value: decode(data.slice(from, end)) };
      at = end;
    }
    return opened;
  }

  async function load(url) {
    const answer = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" });
    if (answer.status === 425) throw new RangeError("not out yet");
    if (!answer.ok) throw new TypeError("away");
    return answer.text();
  }

  function say(box, kind) {
    const result = box.querySelector("[data-result]");
    result.textContent = box.dataset[kind];
    result.className = kind === "textBad" ? "text-danger fw-bold" : ["textAway", "textCut", "textEmpty", "textWaiting"].includes(kind) ? "" : "text-success fw-bold";
  }

  async function attempt(box, work) {
    try {
      await work();
    } catch (error) {
      const kind = error instanceof TypeError ? "textAway" : error instanceof RangeError && box.dataset.textWaiting ? "textWaiting" : "textBad";
      say(box, kind);
    }
  }

  for (const box of document.querySelectorAll("[data-check]")) {
    box.querySelector("[data-run]").addEventListener("click", () =>
      attempt(box, async () => {
        const [proof, keys] = await Promise.all([load(box.dataset.proof), load(box.dataset.key)]);
        const found = await check(proof, keys);
        if (found.entry.eid !== box.dataset.eid) throw new Error("another entry");
        say(box, found.signed ? "textOk" : "textHash");
      }),
    );
  }

  // In the order in which a family reads them; their names are the page's, in its language.
  const ORDER = ["recipient", "guardian", "date", "school", "record", "photo"];
  const family = document.querySelector("[data-family]");
  if (family) {
    const packed = location.hash.slice(1);
    // What the receipt says goes with its reader into the other language; still no server sees it.
    for (const link of document.querySelectorAll("a[hreflang]")) link.hash = location.hash;
    if (!packed) say(family, "textEmpty");
    else
      attempt(family, async () => {
        let opened;
        try {
          opened = unpacked(packed);
        } catch {
          return say(family, "textCut");
        }
        const url = family.dataset.proof.replace("0".repeat(32), opened.e);
        const [proof, keys] = await Promise.all([load(url), load(family.dataset.key)]);
        const found = await check(proof, keys);
        if (found.entry.eid !== opened.e || found.entry.dev !== opened.d) throw new Error("another entry");
        const list = family.querySelector("[data-opened]");
        if (!Object.keys(opened.o).length) return say(family, "textErased");
        const fields = Object.keys(opened.o).sort((one, other) => ORDER.indexOf(one) - ORDER.indexOf(other));
        for (const field of fields) {
          const { value, salt } = opened.o[field];
          if ((await commitment(field, value, salt)) !== found.entry.c[field]) throw new Error("another commitment");
          const row = document.createElement("div");
          const name = document.createElement("dt");
          const shown = document.createElement("dd");
          name.textContent = family.getAttribute(`data-label-${field}`) || field;
          shown.textContent = value.replace(/^(\d{4})-(\d\d)-(\d\d)$/, "$3/$2/$1");
          row.append(name, shown);
          list.append(row);
        }
        const keep = family.querySelector("[data-keep]");
        keep.href = URL.createObjectURL(new Blob([withOpenings(proof, opened.o)], { type: "text/plain" }));
        keep.download = `${opened.d}.tlog-proof`;
        keep.hidden = false;
        const link = family.querySelector("[data-device-link]");
        link.href = family.dataset.device.replace("000000000000", opened.d);
        link.hidden = false;
        say(family, found.signed ? "textOk" : "textHash");
      });
  }

  const draw = document.querySelector("[data-draw]");
  if (draw) {
    draw.querySelector("[data-run]").addEventListener("click", () =>
      attempt(draw, async () => {
        const text = await load(draw.dataset.file);
        if (toHex(await sha256(utf8.encode(text))) !== draw.dataset.hash) throw new Error("another file");
        if ((await lottery.seed(draw.dataset.root, draw.dataset.randomness)) !== draw.dataset.seed) throw new Error("another seed");
        const rows = text.trim().split("\n").slice(1).map((line) => line.split(","));
        if (rows.filter((row) => row[2] !== "no").length !== Number(draw.dataset.served)) throw new Error("another count");
        const cells = new Map();
        for (const [code, cell, served] of rows) {
          if (cell.startsWith("*") || served === "earmark") continue;
          if (!cells.has(cell)) cells.set(cell, new Map());
          cells.get(cell).set(code, served === "draw");
        }
        for (const members of cells.values()) {
          let ended = false;
          for (const code of await lottery.drawOrder(draw.dataset.seed, [...members.keys()])) {
            if (members.get(code) && ended) throw new Error("not in the order of the draw");
            if (!members.get(code)) ended = true;
          }
        }
        say(draw, "textOk");
      }),
    );
  }
  globalThis.ledgerProof = { check, commitment, canonical };
})();
