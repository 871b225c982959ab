"""The one exception that a user's mistake raises."""


class UserError(ValueError):
    """What was expected, what was found, and what to do, in one sentence.

    The command line prints the sentence and exits with status 2; every other exception is a defect of Pellucid and keeps its traceback.
    """
