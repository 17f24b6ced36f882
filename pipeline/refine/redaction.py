"""Takes out of a text what must not be in a table, a log or a message."""

import base64
import re
from collections.abc import Iterable

import httpx2

NO_KEY = "EMPTY"
"""Sent in place of a key to servers that want none; no secret."""

HIDDEN = "***"

SHORTEST = 8
"""Characters of a secret. Whatever is shorter is a dummy such as "none", and would be found in words that are none."""

BASE64 = re.compile(r"[A-Za-z0-9+/_-]{120,}={0,2}")
USER_INFO = re.compile(r"://[^/\s@]+@")


class Redaction:
    """Knows the secrets of one job. Not for what is sent or compared, such as a model's id."""

    def __init__(self, key: str, urls: Iterable[str]) -> None:
        """Set up.

        Args:
            key: the servers' key, or NO_KEY.
            urls: of the servers, with the users and passwords that may be in them.

        Raises:
            ValueError: one is no URL.
        """
        secrets = {"" if key == NO_KEY else key.strip()}
        for url in map(_parsed, urls):
            pair = f"{url.username}:{url.password}"
            secrets |= {url.password, base64.b64encode(pair.encode()).decode() if url.password else ""}
        self._secrets = sorted((secret for secret in secrets if len(secret) >= SHORTEST), key=len, reverse=True)

    def answer(self, text: str, longest: int) -> str:
        """The text as it came, without secrets, cut to its first characters."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text[:longest]

    def message(self, text: str, longest: int = 300) -> str:
        """One line without secrets, pictures, users of URLs and HTML tags, cut to its first characters."""
        text = self.answer(text, len(text))
        text = USER_INFO.sub("://", BASE64.sub("…", re.sub(r"<[^<>]{0,200}>", " ", text)))
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return text if len(text) <= longest else text[: longest - 1] + "…"


def _parsed(url: str) -> httpx2.URL:
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"an address of the judge is no URL: {error}") from None
