"""What evaluate uses: metrics with intervals, baselines, slices, corruptions, Grad-CAM, plots, findings."""
