"""Behind evaluate: metrics with intervals, baselines, slices, corruptions, plots."""
