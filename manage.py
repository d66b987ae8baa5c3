#!/usr/bin/env python
"""Django's command line; `.venv/bin/python manage.py help` lists the commands."""

import os
import sys

try:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
except ModuleNotFoundError:
    sys.exit("Python này không có Django. Môi trường do `make run` tạo: .venv/bin/python manage.py …")


def run() -> str:
    """Run the command of the command line; what the installation lacks, in a sentence, or nothing."""
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        return str(error)
    except OperationalError as error:
        # No state: no connection came about. Any other error is the command's own.
        if getattr(error.__cause__, "sqlstate", "") is not None:
            raise
        return f"cơ sở dữ liệu không trả lời (`make run` chạy PostgreSQL đi kèm; nơi khác: DATABASE_URL).\n{error}"
    return ""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")
    if sys.argv[1:2] == ["simulate"]:
        # It works on files alone: without the apps, their models and the admin it starts in a fraction of the time.
        from allocation.management.commands.simulate import Command

        Command().run_from_argv(sys.argv)
    elif missing := run():
        sys.stderr.write(f"Không chạy được: {missing}\n")
        sys.exit(2)
