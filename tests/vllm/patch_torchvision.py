"""Let PyPI's torchvision, which is built for CUDA, be imported beside a torch for CPUs. Run with the Python of that environment.

Its operators are in a library that needs CUDA's, so they are never declared, and describing two of them fails at import. Declarations of
these are put before their descriptions. The operators stay unusable, but all that is needed of torchvision is plain Python. Nothing
happens to a torchvision that has its operators, nor when this is run again.
"""

import sysconfig
from pathlib import Path

SHIM = """\
# declared here because this build's own operators need CUDA
if not torchvision.extension._has_ops():
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _declared.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


"""


def main() -> None:
    file = Path(sysconfig.get_path("purelib")) / "torchvision" / "_meta_registrations.py"
    source = file.read_text()
    if SHIM not in source:
        before, described, after = source.partition('@torch.library.register_fake("torchvision::nms")')
        file.write_text(before + SHIM + described + after)


if __name__ == "__main__":
    main()
