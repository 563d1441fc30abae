"""What evaluate uses: metrics with intervals, baselines, slices, corruptions, occlusion maps, plots, findings."""
