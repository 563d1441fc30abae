"""Which files lie below a folder: the same for prepare and predict."""

import os
from collections.abc import Container, Iterator

# Left by programs beside pictures.
CLUTTER = ("__macosx", "@eadir", ".thumbnails", "thumbs.db", "desktop.ini")


def is_clutter(name: str) -> bool:
    """Whether a file or folder is hidden, its name beginning with a dot, or left by a program."""
    return name.startswith(".") or name.lower() in CLUTTER


def walk(folder: str | os.PathLike, skip: Container[str] = ()) -> Iterator[str]:
    """Yield the paths of all files below ``folder``, in order of name.

    Clutter is left out, and folders whose real path is in ``skip``. A folder that cannot be read and a link to a
    folder, which may lead round in a circle, are yielded themselves: as pictures they are unreadable, so the user
    hears of them.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield os.fspath(folder)
        return
    for entry in entries:
        if is_clutter(entry.name):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield entry.path
        elif os.path.realpath(entry.path) not in skip:
            yield from walk(entry.path, skip)
