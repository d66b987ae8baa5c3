"""The draw recomputed in JavaScript, in Node: the very file that the public page of a run loads."""

import json
import secrets
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from allocation import engine

DRAW = Path(__file__).parents[2] / "static/js/draw.js"
PROGRAM = """
const fs = require("fs");
eval(fs.readFileSync(process.argv[1], "utf8"));
const given = JSON.parse(fs.readFileSync(0, "utf8"));
(async () => {
  const order = await lottery.drawOrder(given.seed, given.codes);
  console.log(JSON.stringify({ order, seed: await lottery.seed(given.root, given.randomness) }));
})();
"""


def test_javascript_draws_100_000_codes_alike():
    node = shutil.which("node") or pytest.fail("cần Node.js để kiểm tra phép bốc thăm bằng ngôn ngữ thứ hai")
    seed, root, randomness = secrets.token_bytes(32), secrets.token_bytes(32), "12345 – XSMB 05/10/2021"
    codes = [secrets.token_hex(8) for _ in range(99_990)] + [f"Ấp {n} – đ" for n in range(10)]
    given = {"seed": seed.hex(), "codes": codes, "root": root.hex(), "randomness": randomness}
    done = subprocess.run(
        [node, "-e", PROGRAM, str(DRAW)], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    order = engine.by_class_and_draw(
        np.zeros(len(codes), dtype=np.int8),
        engine.draw(seed, codes),
        lambda row: engine.lot(seed, codes[row]),
    )
    assert answer["order"] == [codes[row] for row in order]
    assert answer["seed"] == sha256(b"mtce/seed/v1\0" + root + randomness.encode()).hexdigest()
