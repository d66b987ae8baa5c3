"""Public pages of the log. Drawn from its entries and files alone; no session, no cookie, nothing about a child."""

import hashlib
import mimetypes
import re
import uuid
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date, parse_http_date_safe
from django.utils.translation import gettext as _

from common import clock
from common.access import public
from common.qr import qr_svg
from common.throttle import found_by_code, is_too_often
from ledger import privacy, trace, words
from ledger.codes import normalise, normalise_code, spell
from ledger.forms import RequestForm
from ledger.models import PrivacyRequest
from ledger.notes import Note, VerifierKey, encode64, witnesses_of
from ledger.publisher import policy, public_keys, status
from ledger.tiles import TileError

# What lies under /ledger/ and may be fetched: nothing else in the folder ever is.
LOG_FILE = re.compile(
    r"checkpoint|vkey|policy\.json|runs/[A-Za-z0-9._-]{1,64}\.csv|figures/[0-9-]{10}\.json"
    r"|keys/[0-9a-f]{8}\.tlog-proof"
    r"|tile/(?:[0-9]|[1-5][0-9]|6[0-3]|entries)/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/(?:[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)
VERIFIER = Path(__file__).resolve().parent.parent / "verifier" / "mtce_verify.py"
LOOKUPS_A_MINUTE = 60


@public
def log_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """One file of the log; the same bytes that any static server or mirror gives."""
    if not LOG_FILE.fullmatch(path):
        raise Http404
    file = settings.LEDGER_DIR / path
    immutable = path.startswith(("tile/", "runs/"))
    kind = (
        "text/plain; charset=utf-8"
        if path in ("checkpoint", "vkey") or path.startswith("keys/")
        else "application/octet-stream"
        if path.startswith("tile/")
        else mimetypes.guess_type(path)[0] or "text/plain"
    )
    try:
        modified = int(file.stat().st_mtime)
        since = parse_http_date_safe(request.headers.get("If-Modified-Since", ""))
        if immutable and since is not None and modified <= since:
            return HttpResponseNotModified()
        # A draw file may be large; the others are small and whole in memory at once.
        response: HttpResponseBase = (
            FileResponse(file.open("rb"), content_type=kind)
            if path.startswith("runs/")
            else HttpResponse(file.read_bytes(), content_type=kind)
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise Http404 from None
    response["Cache-Control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
    response["Last-Modified"] = http_date(modified)
    response["Access-Control-Allow-Origin"] = "*"
    return response


@public
def log_page(request: HttpRequest) -> HttpResponse:
    """The log's state: size, root, when signed, who witnesses, what is promised and whether it was kept."""
    state = status(at=timezone.now())
    last = state["published"]
    known = [VerifierKey.parse(witness["key"]) for witness in settings.LEDGER_WITNESSES]
    return render(
        request,
        "ledger/log.html",
        {
            "state": state,
            "head": last.head if last else None,
            "root": encode64(last.head.root) if last else "",
            "signed_at": last.signed_at if last else None,
            "keys": [str(key) for key in public_keys()],
            "policy": policy(),
            "witnesses": witnesses_of(Note.parse(last.raw), known) if last else [],
            "witnesses_known": len(known),
            "latest": _latest_entries(last),
        },
    )


def _latest_entries(last) -> list:
    """The newest ten entries that aren't about a device (a device is looked up by its full code only: rule 6)."""
    if last is None:
        return []
    found = trace.latest_other(10)
    names = trace.names_of(words.codes_in(found))
    return [
        {
            "index": entry.index,
            "text": words.sentence(entry.body, names),
            "event": entry.body["t"],
            "d": entry.body["d"],
        }
        for entry in found
    ]


@public
def how_page(request: HttpRequest) -> HttpResponse:
    """How to check the log oneself, step by step."""
    keys = public_keys()
    key, log = str(keys[0]) if keys else "", f"{settings.PUBLIC_URL}/ledger"
    run = next((path.stem for path in sorted((settings.LEDGER_DIR / "runs").glob("*.csv"))), "")
    file = settings.PUBLIC_URL + reverse("ledger:verifier")
    context = {
        "key": key,
        "installing": "python3 -m venv kiem-tra\nkiem-tra/bin/python -m pip install cryptography",
        "hashing": "kiem-tra/bin/python -c "
        f""""import hashlib; print(hashlib.sha256(open('{VERIFIER.name}', 'rb').read()).hexdigest())\"""",
        "download": {
            "unix": f"curl -o {VERIFIER.name} {file}",
            # Both PowerShells: the one that comes with Windows 10 needs -UseBasicParsing.
            "windows": f"Invoke-WebRequest -UseBasicParsing -Uri {file} -OutFile {VERIFIER.name}",
        },
        "verifier_sha256": hashlib.sha256(VERIFIER.read_bytes()).hexdigest(),
        "commands": {
            "log": f'verify-log {log} --key "{key}"',
            "device": f'verify-device MÃ-TRÊN-TEM --log {log} --key "{key}"',
            "receipt": f'verify-receipt bien-nhan.tlog-proof --key "{key}"',
            "family": f'verify-receipt "{settings.PUBLIC_URL}/so-cai/bien-nhan/#…" --log {log} --key "{key}"',
            "run": f'verify-run {run} --log {log} --key "{key}"' if run else "",
            "audit": f'audit {log} --key "{key}"',
        },
    }
    return render(request, "ledger/how.html", context)


@public
def verifier_file(request: HttpRequest) -> HttpResponse:
    """The stand-alone verifier, to save and read."""
    response = HttpResponse(VERIFIER.read_bytes(), content_type="text/x-python; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="mtce_verify.py"'
    return response


@public
def lookup(request: HttpRequest) -> HttpResponse:
    """Find a device, pledge or run by its full code."""
    typed = request.GET.get("ma", "").strip()
    if not typed:
        return render(request, "ledger/lookup.html")
    if is_too_often(request, what="lookup", limit=LOOKUPS_A_MINUTE, seconds=60):
        return render(
            request,
            "ledger/lookup.html",
            {"typed": typed, "error": _("Bạn tra cứu quá nhanh. Hãy chờ một phút rồi thử lại.")},
            status=429,
        )
    # A scanned label gives the whole address.
    typed = typed.rstrip("/").rpartition("/")[2]
    if code := normalise_code(typed):
        return redirect("ledger:device", code=code)
    code = normalise(typed) or ""
    for prefix, path in (("CK-", "/cam-ket/"), ("YC-", "/so-cai/yeu-cau/"), ("PA-", "/phan-anh/")):
        if code.startswith(prefix):
            return redirect(f"{path}{code}/")
    if re.fullmatch(r"[A-Za-z0-9._-]{3,40}", typed) and any(
        entry.body["t"].startswith("run.") for entry in trace.subject_entries(typed)
    ):
        return redirect("ledger:run", run=typed)
    return render(
        request,
        "ledger/lookup.html",
        {
            "typed": typed[:60],
            "error": words.what_is_wrong(typed),
        },
        status=404,
    )


@public
@found_by_code
def device(request: HttpRequest, code: str) -> HttpResponse:
    """A device's way in plain words, with the proof of its latest entry."""
    normal = normalise_code(code)
    if normal is None:
        raise Http404
    if normal != code:
        return redirect("ledger:device", code=normal, permanent=True)
    way = trace.device_way(code)
    if not way:
        if trace.is_waiting(code):
            return _private(
                render(request, "ledger/device_waiting.html", {"code": code, "spelled": spell(code)})
            )
        error = _(
            "Mã %(code)s viết đúng, nhưng sổ cái không có máy nào mang mã này. Nếu mã in trên tem của một máy thuộc"
            " chương trình, hãy gửi phản ánh cho chúng tôi."
        ) % {"code": spell(code)}
        context = {"typed": spell(code), "error": error, "is_unknown": True}
        return _private(render(request, "ledger/lookup.html", context, status=404))
    names = trace.names_of(words.codes_in(way))
    last, newest = trace.latest(), way[-1]
    assert last is not None
    try:
        proof = [encode64(step) for step in trace.proof_of(newest)]
    except TileError:
        proof = []
    state = words.shown_state(newest.state, newest.body)
    return _private(
        render(
            request,
            "ledger/device.html",
            {
                "code": code,
                "spelled": spell(code),
                "items": words.timeline(way, names, trace.erased_of(way)),
                "state": words.STATE.get(state, state),
                "badge": "success" if state in words.GOOD else "danger" if state in words.TROUBLE else "info",
                "newest": newest,
                "entry": newest.raw.decode(),
                "proof": proof,
                "size": last.head.size,
                "root": encode64(last.head.root),
                "signed_at": last.signed_at,
            },
        )
    )


def _private(response: HttpResponse) -> HttpResponse:
    # Rule 6: found by its full code only, never by a search engine.
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


@public
def receipt(request: HttpRequest, eid: uuid.UUID) -> HttpResponse:
    """The .tlog-proof of one public entry (without any opening: the salt never reaches the server)."""
    entry = trace.entry_of(eid)
    if entry is None:
        if not trace.is_held(eid):
            raise Http404
        # Known and not public yet: whoever holds the printed receipt comes back for the proof.
        text = _(
            "Việc này đã được ghi, chưa đến đợt công bố: bàn giao được công bố theo tuần, khi vùng có ít nhất 10 em."
            " Hãy tải lại sau vài ngày; biên nhận của bạn vẫn có giá trị."
        )
        return _private(HttpResponse(f"{text}\n", status=425, content_type="text/plain; charset=utf-8"))
    try:
        text = trace.receipt_of(entry)
    except TileError as error:
        return HttpResponse(f"{error}\n", status=503, content_type="text/plain; charset=utf-8")
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = (
        f'attachment; filename="{entry.body.get("dev", eid.hex)}-{entry.index}.tlog-proof"'
    )
    return _private(response)


@public
def family(request: HttpRequest) -> HttpResponse:
    """A family's receipt: opened by the browser from the fragment of the address, which the server never sees."""
    return _private(
        render(
            request, "ledger/family.html", {"proof_url": reverse("ledger:receipt", args=[uuid.UUID(int=0)])}
        )
    )


@public
@found_by_code
def pledge_page(request: HttpRequest, code: str) -> HttpResponse:
    """What the log says of a pledge: each entry with its proof, as a donor's receipt."""
    known = normalise(code)
    entries = [entry for entry in trace.subject_entries(known or "") if entry.body["t"].startswith("pledge.")]
    if not entries:
        raise Http404
    last = trace.latest()
    assert last is not None
    address = settings.PUBLIC_URL + reverse("ledger:pledge", args=[known])
    context = {
        "code": known,
        "entries": [
            (entry, words.sentence(entry.body, {}), entry.raw.decode()) for entry in reversed(entries)
        ],
        "newest": entries[-1],
        "size": last.head.size,
        "signed_at": last.signed_at,
        "qr": qr_svg(address, title=_("Mã QR của trang này"), scale=3),
        "address": address,
    }
    return _private(render(request, "ledger/pledge.html", context))


@public
def amendments(request: HttpRequest) -> HttpResponse:
    """Corrections and erasures, each beside what it is about; nothing was rewritten."""
    rows = [
        {
            "entry": entry,
            "text": words.sentence(entry.body, {}),
            "original": original,
            "original_text": words.kind_of(original.body) if original else "",
        }
        for entry, original in trace.amendments(100)
    ]
    return render(request, "ledger/amendments.html", {"rows": rows})


@public
def run_page(request: HttpRequest, run: str) -> HttpResponse:
    """An allocation run as the log tells it, with its draw recomputed in the browser."""
    entries = [entry for entry in trace.subject_entries(run) if entry.body["t"].startswith("run.")]
    if not entries:
        raise Http404
    steps = {entry.body["t"].removeprefix("run."): entry.body for entry in entries}
    randomness = ""
    if "seeded" in steps:
        randomness = bytes.fromhex(steps["seeded"]["randomness"]).decode(errors="replace")
    has_file = (settings.LEDGER_DIR / "runs" / f"{run}.csv").exists()
    return render(
        request,
        "ledger/run.html",
        {"run": run, "steps": steps, "entries": entries, "randomness": randomness, "has_file": has_file},
    )


@public
def ask(request: HttpRequest) -> HttpResponse:
    """A family or donor asks to erase or correct; no sign-in."""
    form = RequestForm(request.POST or None, initial={"device": request.GET.get("ma", ""), "kind": "erase"})
    if request.method == "POST":
        if is_too_often(request, what="privacy", limit=20, seconds=3600):
            form.add_error(None, _("Từ địa chỉ này đã có nhiều yêu cầu. Hãy thử lại sau một giờ."))
        elif form.is_valid():
            asked_for = {key: value for key, value in form.cleaned_data.items() if key != "website"}
            made = privacy.file_request(**asked_for, at=clock.now())
            return redirect("ledger:asked", code=made.code)
    return render(request, "ledger/ask.html", {"form": form}, status=400 if form.errors else 200)


@public
@found_by_code
def asked(request: HttpRequest, code: str) -> HttpResponse:
    """Where a request stands, by its code; nothing that the person wrote is shown."""
    row = get_object_or_404(PrivacyRequest, code=normalise(code) or "")
    return _private(render(request, "ledger/asked.html", {"row": row}))
