"""A frame with room for all frames above it, below the tests and below the processes that they start."""


def roomy(call):
    """`call()` from a frame that takes 528 of the 1,024 kB then laid out for it: all calls within share the rest.

    CPython 3.11 and later lay out 16 kB at a time for frames and give them back as soon as the call returns. A loop
    that happens to call just across such a border, deep in Django, spends most of its time in mmap and munmap.
    """
    return call()


roomy.__code__ = roomy.__code__.replace(co_stacksize=66_000)
