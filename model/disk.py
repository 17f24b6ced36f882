"""What is said when the disk gives up in the midst of a run."""

import errno
from pathlib import Path

from model.errors import ModelInputError


def disk_error(path: Path, error: OSError) -> ModelInputError:
    """The sentence for a file that can no longer be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ModelInputError(f"the disk of {path} is full; what is finished is kept: make room and run the same command again")
    return ModelInputError(f"{path} cannot be written any more ({error.strerror or error}); what is finished is kept: mend that and run the same command again")
