"""The edge of every stage: its options, and errors as one line."""

import argparse
import errno
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from happysad.common.errors import UserError

PROJECT = Path(__file__).resolve().parents[3]
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space and run it again"),
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run it again",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make it writable for you and run it again"),
}


def run(main: Callable[..., None], **numbers: int) -> None:
    """Call ``main(root)``, with ``numbers`` as further options and their defaults.

    A UserError or OSError ends the process with one line and status 1.
    """
    parser = argparse.ArgumentParser(description=inspect.getmodule(main).__doc__)
    parser.add_argument("--root", type=Path, default=PROJECT, help="project folder (default: this one)")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    options = vars(parser.parse_args())
    try:
        main(options.pop("root").resolve(), **options)
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {in_words(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def in_words(error: OSError) -> str:
    """What went wrong, where, and the remedy where there is one."""
    if error.errno is None or error.filename is None:
        return str(error)
    remedy = f": {REMEDIES[error.errno]}" if error.errno in REMEDIES else ""
    return f"{error.filename}: {error.strerror}{remedy}"
