from typing import Any

import pytest

from pipeline.refine.options import PictureOptions, PolicyOptions, RefineOptions, ServerOptions


def test_what_is_chosen_unless_said_otherwise_is_allowed() -> None:
    assert ServerOptions().urls == ()
    assert PictureOptions().pixels == 448 * 448
    assert PolicyOptions().relabel_below == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"urls": ("host:8000",)},
        {"urls": ("http:///v1",)},
        {"urls": ("http://:8000/v1",)},
        {"urls": ("http://host:99999/v1",)},
        {"urls": ("http://host:port/v1",)},
        {"urls": ("http://two hosts/v1",)},
        {"urls": ("http://[::1/v1",)},
        {"urls": ("http://a/v1", "ftp://b/v1")},
        {"in_flight": 0},
        {"attempts": 0},
        {"connect_seconds": 0.0},
        {"timeout_seconds": -1.0},
        {"patience_minutes": -0.1},
        {"largest_reply": 0},
    ],
)
def test_a_server_must_be_reachable_in_principle(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"refine: .* must be "):
        ServerOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"urls": ("http://user:pass/w@rd@host:99999/v1?token=secret",)}, {"urls": ("http://user:pass/w@host/v1",), "attempts": 0}])
def test_what_is_wrong_with_a_server_is_said_without_its_password(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refine: ") as error:
        ServerOptions(**wrong)
    assert not any(word in str(error.value) for word in ("pass", "rd@", "secret"))


@pytest.mark.parametrize("wrong", [{"pixels": 783}, {"jpeg_quality": 0}, {"jpeg_quality": 96}, {"caption_frames": 0}])
def test_pictures_must_show_something(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refine: pixels must be"):
        PictureOptions(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"questions_per_anchor": 0}, {"least_confidence": -0.1}, {"least_confidence": 1.1}, {"least_certainty": 0}, {"least_certainty": 6}]
)
def test_policies_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refine: questions_per_anchor must be"):
        PolicyOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"characters_at_once": 0}, {"threads": 0}])
def test_somebody_must_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refine: characters_at_once and threads"):
        RefineOptions(**wrong)


def test_the_edges_are_allowed() -> None:
    ServerOptions(urls=("https://a/v1", "http://b/v1"), in_flight=1, attempts=1, patience_minutes=0.0, largest_reply=1)
    PictureOptions(pixels=784, jpeg_quality=95, caption_frames=1)
    PolicyOptions(questions_per_anchor=1, least_confidence=0.0, least_certainty=1)
    PolicyOptions(least_confidence=1.0, least_certainty=5)
