/* The draw once more, in another language: order = SHA-256("mtce/lot/v1\0" ‖ seed ‖ code), ascending.
   Used by a run's public page to recompute the lottery in the reader's own browser, and by a test that
   compares it with the engine. Needs nothing but the Web Crypto that browsers and Node have. */

const TAG = new TextEncoder().encode("mtce/lot/v1\0");
const SEED_TAG = new TextEncoder().encode("mtce/seed/v1\0");

function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** The lot of one code, as 64 hex digits: a smaller lot comes first. */
async function lot(seedHex, code) {
  return toHex(await sha256(joined(TAG, fromHex(seedHex), new TextEncoder().encode(code))));
}

/** The seed of a run from the root published at the freeze and the randomness (text) drawn after it. */
async function seed(rootHex, randomness) {
  return toHex(await sha256(joined(SEED_TAG, fromHex(rootHex), new TextEncoder().encode(randomness))));
}

/** The codes in the order of the draw. */
async function drawOrder(seedHex, codes) {
  const lots = await Promise.all(codes.map(async (code) => [await lot(seedHex, code), code]));
  lots.sort((one, other) => (one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0));
  return lots.map((pair) => pair[1]);
}

globalThis.lottery = { lot, seed, drawOrder };
