"""What every command of ours begins with."""

from django.core.management.base import BaseCommand


class PlainCommand(BaseCommand):
    """Says its progress on standard error in plain letters: Django would write all of it in the red of an error."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stderr.style_func = None
