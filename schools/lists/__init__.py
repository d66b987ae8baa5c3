"""Reading and checking of student lists: plain Python, no Django, usable in a process of its own.

``sandbox.read`` starts ``schools.lists.child`` under limits; the child opens the file (``intake``,
``sheets``), finds the header (``columns``), checks every row (``cells``, ``rows``) and streams them back.
"""
