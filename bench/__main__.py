"""`python -m bench [name …] [--quick]`: one JSON line per figure on standard output, progress on standard error."""

import argparse
import importlib
import json
import os
import pkgutil
import sys

import django
from django.core.management import call_command

import bench


def main() -> int:
    """Run what was asked for; 1 if a figure is over its limit."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")
    # A line of log per request would be measured too.
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    for module in pkgutil.iter_modules(bench.__path__):
        if module.name not in ("__main__", "nation", "urls"):
            importlib.import_module(f"bench.{module.name}")
    if unknown := [
        name for name in options.names if not any(known.startswith(name) for known in bench.BENCHES)
    ]:
        parser.error(f"{', '.join(unknown)}: không có phép đo này. Có: {', '.join(sorted(bench.BENCHES))}")
    call_command("migrate", verbosity=0)
    call_command("prepare_queue", stdout=sys.stderr)  # a run hands its steps to workers; here none takes them
    call_command("collectstatic", interactive=False, verbosity=0)
    over = 0
    for name, function in sorted(bench.BENCHES.items()):
        if options.names and not name.startswith(tuple(options.names)):
            continue
        sys.stderr.write(f"{name} …\n")
        for line in function(options.quick):
            rounded = {
                key: round(value, 3) if isinstance(value, float) else value for key, value in line.items()
            }
            print(json.dumps(rounded), flush=True)
            over += "limit" in line and line["ratio"] > line["limit"]
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
