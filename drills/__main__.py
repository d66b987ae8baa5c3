"""`python -m drills [name …]`: one JSON line per drill on standard output, progress on standard error."""

import argparse
import importlib
import json
import os
import pkgutil
import sys
import time
import traceback

import django
from django.core.management import call_command

import drills


def run(name: str, function: drills.Drill) -> dict:
    """One drill and its line: `held` is true, false, or null where it could not be tried."""
    started = time.perf_counter()
    held: bool | None
    try:
        figures, held = function(), True
    except drills.NotRunError as missing:
        figures, held = {"not_run": str(missing)}, None
    except AssertionError:
        traceback.print_exc()
        figures, held = {}, False
    return {"name": name, "held": held, "seconds": round(time.perf_counter() - started, 1), **figures}


def main() -> int:
    """Run what was asked for; 1 if a promise broke."""
    parser = argparse.ArgumentParser(prog="drills")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")
    django.setup()
    for module in pkgutil.iter_modules(drills.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"drills.{module.name}")
    if unknown := [
        name for name in options.names if not any(known.startswith(name) for known in drills.DRILLS)
    ]:
        parser.error(f"{', '.join(unknown)}: không có diễn tập này. Có: {', '.join(sorted(drills.DRILLS))}")
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)  # pages that a drill reads name their files
    broken = 0
    for name, function in sorted(drills.DRILLS.items()):
        if options.names and not name.startswith(tuple(options.names)):
            continue
        sys.stderr.write(f"{name} …\n")
        line = run(name, function)
        broken += line["held"] is False
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
