"""Behind train: the CNN, its data augmentation, and how Keras fits and calibrates it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what C++ prints on file descriptor 2: TensorFlow 2.21 has no setting for its notes. Exceptions still show."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


with quiet():
    import tensorflow  # noqa: F401
