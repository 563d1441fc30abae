"""Errors that are printed as one line, without a traceback."""


class UserError(Exception):
    """What the user can put right. The message names the file or the key, and the remedy."""
