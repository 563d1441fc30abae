"""Behind prepare: which raw pictures are used, and in which split."""
