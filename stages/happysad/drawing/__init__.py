"""The renderer behind the built-in data set: drawn faces, so no real person is in it."""
