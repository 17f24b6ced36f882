import inspect

import pytest

from pipeline.video.decord_decoder import DecordDecoder, DecordFrame
from pipeline.video.protocols import Decoder, Frame
from pipeline.video.pyav_decoder import PyAVDecoder, PyAVFrame


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [(Decoder, PyAVDecoder), (Decoder, DecordDecoder), (Frame, PyAVFrame), (Frame, DecordFrame)],
)
def test_every_decoder_takes_what_the_protocol_says(protocol: type, implementation: type) -> None:
    members = {name: member for name, member in vars(protocol).items() if inspect.isfunction(member) and not name.startswith(("_abc", "__init", "__subclass"))}
    assert members
    for name, member in members.items():
        theirs = inspect.signature(getattr(implementation, name)).parameters
        assert [(p.name, p.default) for p in inspect.signature(member).parameters.values()] == [(p.name, p.default) for p in theirs.values()]
    properties = [name for name, member in vars(protocol).items() if isinstance(member, property)]
    assert all(isinstance(inspect.getattr_static(implementation, name), property) for name in properties)
