"""Behind train: the CNN, its data augmentation, and how Keras fits and calibrates it."""

import os
import sys

# TensorFlow 2.21 prints notes about drivers and oneDNN as it is imported, which no setting hides. They come from
# C++, on file descriptor 2; an exception of the import is still seen, since it ends the block first.
sys.stderr.flush()
_stderr, _nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    import tensorflow  # noqa: F401
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_nowhere)
