"""Memory that a training frees with every step and takes again with the next one."""

import contextlib
import ctypes
import sys

#: Numbers of glibc's settings in malloc.h, with what keeps memory and what a process starts with.
MMAP_MAX, TRIM_THRESHOLD = (-4, 0, 65536), (-1, -1, 131072)


@contextlib.contextmanager
def kept():
    """Leave memory that is freed inside with the process, for the next step to take.

    The C library gives large freed blocks back to the kernel at once, which hands them out page by page and zeroed when
    the next step asks for them: a third of the CPU seconds of a step of R-SCNN. The process holds its largest extent
    and up to a third on top until the end. No bit depends on it. Only glibc (Linux) can be told; elsewhere nothing
    changes. Not to be nested: the first to end gives the memory back.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    try:
        for number, keep, _ in (MMAP_MAX, TRIM_THRESHOLD) if tell else ():
            tell(number, keep)
        yield
    finally:
        for number, _, usual in (MMAP_MAX, TRIM_THRESHOLD) if tell else ():
            tell(number, usual)
        if tell:
            ctypes.CDLL(None).malloc_trim(0)
