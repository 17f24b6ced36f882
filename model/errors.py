"""Errors that a user of the model can mend."""


class ModelInputError(ValueError):
    """Something given to the model does not fit it; the message is one clear sentence that names the thing and says what to do."""
