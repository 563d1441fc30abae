"""Behind train: the CNN, its data augmentation, and the loop that fits it."""
