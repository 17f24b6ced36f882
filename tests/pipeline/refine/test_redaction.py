"""What must not be told is not told."""

import base64

import pytest

from pipeline.refine.redaction import NO_KEY, Redaction

KEY = "sk-very-secret-123456"
URL = "http://user:pass%20word@host:8000/v1"
REDACTION = Redaction(KEY, [URL, "http://plain:8000/v1"])


def test_keys_and_passwords_go() -> None:
    basic = base64.b64encode(b"user:pass word").decode()
    text = f"Bearer {KEY}, Basic {basic}, pass word"
    for told in (REDACTION.message(text), REDACTION.answer(text, 1000)):
        assert told == "Bearer ***, Basic ***, ***"


def test_a_message_has_no_pictures_no_users_of_urls_no_tags_and_one_line() -> None:
    picture = base64.b64encode(bytes(range(256)) * 4).decode()
    told = REDACTION.message(f"<h1>bad</h1>\n\x00 data:image/jpeg;base64,{picture} at http://me:mine@elsewhere/v1\r\nend")
    assert told == "bad data:image/jpeg;base64,… at http://elsewhere/v1 end"


def test_a_message_is_short_and_an_answer_as_long_as_is_said() -> None:
    assert len(REDACTION.message("word " * 1000)) == 300
    assert REDACTION.message("word " * 1000).endswith("…")
    assert REDACTION.answer("x" * 50, 20) == "x" * 20


def test_an_answer_is_kept_as_it_came() -> None:
    text = '{"a":\n "<b>\x07"}' + "Q" * 500
    assert REDACTION.answer(text, 10_000) == text


def test_no_key_is_no_secret() -> None:
    assert Redaction(NO_KEY, ["http://host/v1"]).message("the list is EMPTY") == "the list is EMPTY"


@pytest.mark.parametrize("dummy", ["a", "none", "judge", "seven77"])
def test_a_dummy_is_no_secret(dummy: str) -> None:
    redaction = Redaction(dummy, [f"http://user:{dummy}@host/v1"])
    for told in (redaction.message(f"judge {dummy} is a seven77, none else"), redaction.answer(f"judge {dummy} is a seven77, none else", 100)):
        assert told == f"judge {dummy} is a seven77, none else"
    assert redaction.message(f"at http://user:{dummy}@host/v1") == "at http://host/v1"


def test_a_key_with_a_line_end_is_found_without_it() -> None:
    assert Redaction(KEY + "\n", []).message(f"Illegal header value b'Bearer {KEY}'") == "Illegal header value b'Bearer ***'"


def test_an_address_that_is_none_is_said_to_be_none_without_its_password() -> None:
    with pytest.raises(ValueError, match="no URL") as error:
        Redaction(KEY, ["http://user:secret@host:port/v1"])
    assert "secret" not in str(error.value)
