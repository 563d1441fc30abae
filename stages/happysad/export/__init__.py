"""Behind export: the formats, and the model card."""
