"""Files that survive a kill at any moment.

A file is locked for as long as its writer lives (the operating system releases the lock of a
killed process), and what must be complete gets its name only once it is.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TEMPORARY_PREFIX: Final = ".tmp-"

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, wait: bool) -> None:
        os.lseek(descriptor, 1 << 40, os.SEEK_SET)  # far from the data: locks bar reading there
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, *, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def create_locked(path: Path) -> int | None:
    """Create a file, to append to, that counts as in use until its descriptor is closed.

    Returns:
        The descriptor; None if another process took the new file for abandoned and removed it,
        which can happen before the lock is held: try another name.

    Raises:
        OSError: If the file exists or can't be created.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        _lock(descriptor, wait=True)
    except OSError:
        pass  # no locks on this file system: then nobody can find the file abandoned, either
    except BaseException:
        os.close(descriptor)
        raise
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return descriptor


def is_in_use(path: Path) -> bool:
    """Whether the writer of a file made by ``create_locked`` still has it open."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        _lock(descriptor, wait=False)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_abandoned(path: Path, *, size: int | None = None) -> bool:
    """Remove a file unless its writer still has it open, or it is not of ``size`` bytes.

    Returns:
        Whether it is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        _lock(descriptor, wait=False)
        if size is not None and os.fstat(descriptor).st_size != size:
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def write_atomically(path: Path, data: bytes, *, fsync: bool) -> None:
    """Write a file that is there completely or not at all, whatever happens.

    Raises:
        OSError: If it can't be written; nothing is left then.
    """
    while True:
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        descriptor = create_locked(temporary)
        if descriptor is None:
            continue
        try:
            try:
                write_all(descriptor, data)
                if fsync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)  # before the new name: Windows does not rename open files
            os.replace(temporary, path)
        except FileNotFoundError:
            continue  # swept away by a compaction in the moment after it was closed
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        break
    if fsync:
        sync_directory(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte; one call may write only some."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_directory(directory: Path) -> None:
    """Make new names in a directory survive a power cut, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold the lock of a file (made if needed), waiting for whoever holds it.

    Raises:
        OSError: If the file system has no locks.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        _lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)
