"""What ends a training with a sentence instead of a stack trace."""


class TrainingError(ValueError):
    """Something does not fit or went wrong; the message names it and says what to do."""
