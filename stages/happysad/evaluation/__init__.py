"""What evaluate uses: intervals, corruptions, occlusion maps, charts, galleries, findings."""
