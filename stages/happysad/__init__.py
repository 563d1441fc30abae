"""What the stages share. Stages import it before TensorFlow, which reads its settings as it is imported."""

import os

# Index 0 and 1 of every label, score column and labels.txt. Positive is happy: score is the
# probability of happy, and precision and recall are those of happy.
CLASSES = ("sad", "happy")

DRAWN = "faces drawn by the project itself, no photographs"  # source of a model of the built-in data set

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides notes about absent GPUs; errors come as exceptions
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # off on most AMD processors, where it halves the cost of a step
