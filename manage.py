#!/usr/bin/env python
"""Django's command line; `python manage.py help` lists the commands."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sms_program.settings")
    if sys.argv[1:2] == ["simulate"]:
        # It works on files alone: without the apps, their models and the admin it starts in a fraction of the time.
        from allocation.management.commands.simulate import Command

        Command().run_from_argv(sys.argv)
    else:
        execute_from_command_line(sys.argv)
