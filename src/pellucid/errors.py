"""Exceptions that are reported to the user in one sentence."""


class UserError(ValueError):
    """What was expected, what was found, and what to do, in one sentence.

    The command line prints the sentence and exits with status 2; every other exception is a defect of Pellucid and keeps its traceback.
    """


class DivergenceError(UserError):
    """A training whose loss, gradient or weights stopped being finite numbers."""
