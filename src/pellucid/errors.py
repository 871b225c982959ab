"""Exceptions that are reported to the user in one sentence."""


class UserError(ValueError):
    """A mistake of the user, as one sentence: what was expected, what was found, and what to do.

    The command line prints the sentence and exits with status 2; all other exceptions are bugs of Pellucid and keep their traceback.
    """


def out_of_memory(what: str) -> UserError:
    """The error of a picture for which there is too little memory; what: the picture, in words."""
    return UserError(f"Expected memory for {what}, found too little; scale it down.")


class TrainingError(UserError):
    """A training that can't go on; others beside it may."""


class DivergenceError(TrainingError):
    """A training with non-finite losses, gradients or weights."""
