"""The edge of every stage: one option, and errors as one line."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
from happysad.common.errors import UserError


def run(main: Callable[[Path], None]) -> None:
    """Call ``main(root)``; a UserError or OSError ends the process with one line and status 1."""
    parser = argparse.ArgumentParser(description=inspect.getmodule(main).__doc__)
    parser.add_argument("--root", type=Path, default=PROJECT, help="project folder (default: this one)")
    root = parser.parse_args().root.resolve()
    try:
        main(root)
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
