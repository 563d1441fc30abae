"""What the stages share."""

# Index 0 and 1 of every label, score column and labels.txt. Positive is happy: score is the
# probability of happy, and precision and recall are those of happy.
CLASSES = ("sad", "happy")
