"""The renderer behind the built-in data set: faces that are drawn, so no one is in them."""
