"""Connections to servers, and what they serve."""

import asyncio
import base64
import logging
import os
from collections.abc import Sequence

import httpx2
from openai import AsyncOpenAI

from pipeline.refine.endpoints import JudgeGone, Missing
from pipeline.refine.options import ServerOptions
from pipeline.refine.redaction import NO_KEY, Redaction
from pipeline.refine.replies import ReplyError, read_object
from pipeline.refine.transport import KEPT_SECONDS, BoundedClient
from pipeline.refine.troubles import KNOWS_NOT, Trouble, trouble_of
from schemas.vocabulary import PendingReason

logger = logging.getLogger(__name__)

START = "Start one, for example with `python -m vllm.entrypoints.openai.api_server --model MODEL`; docs/refinement.md says more."

ENVIRONMENT = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that the HTTP client obeys; those of proxies in small letters too."""

LISTED = 10
"""Models of a server that a message names."""

BEGINNING = 200
"""Bytes of a reply without a list that are shown."""

LONGEST_LIST = 1000
"""Characters of a message about models."""


def address(url: str) -> str:
    """A base URL without user, password and query, for messages."""
    return str(httpx2.URL(url).copy_with(userinfo=b"", query=None, fragment=None))


def http_client(server: ServerOptions) -> BoundedClient:
    """What all connections of a job share.

    Raises:
        JudgeGone: proxies or certificates that the environment names are of no use.
    """
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=server.in_flight, keepalive_expiry=KEPT_SECONDS)
    timeout = httpx2.Timeout(server.timeout_seconds, connect=server.connect_seconds)
    try:
        return BoundedClient(server.largest_reply, limits=limits, timeout=timeout)
    except Exception as error:  # of many kinds: a package, a file or an address is missing or wrong
        message = Redaction(NO_KEY, ()).message(f"{type(error).__name__}: {error}")
        names = [name for variable in ENVIRONMENT for name in (variable, variable.lower()) if os.environ.get(name)]
        advice = f"; look at {', '.join(names)} in the environment" if names else ""
        raise JudgeGone(f"the judge cannot be asked, no connection can be made: {message}{advice}") from error


def connect(url: str, key: str, http: BoundedClient) -> AsyncOpenAI:
    """The client of one server. It tries once: whether to try again, and where, is decided above it.

    Args:
        url: base URL. A user and password in it are sent instead of the key, as a header, so that no log of URLs shows them.
        key: of the server.
        http: see http_client.
    """
    parsed = httpx2.URL(url)
    pair = f"{parsed.username}:{parsed.password}"
    authorization = f"Basic {base64.b64encode(pair.encode()).decode()}" if parsed.userinfo else f"Bearer {key.strip()}"
    client = AsyncOpenAI(
        base_url=parsed.copy_with(userinfo=b""),
        api_key=key,
        max_retries=0,
        timeout=http.timeout,
        http_client=http,
    )
    # These would be taken from an environment that is meant for another server.
    client.organization = client.project = None
    client._custom_headers = {"Authorization": authorization}
    return client


async def served_models(client: AsyncOpenAI, server: ServerOptions) -> list[str]:
    """The ids of the models that a server has.

    Raises:
        TimeoutError: no answer within twice the time to connect.
        openai.OpenAIError, ReplyTooLargeError, ReplyError: see troubles.
    """
    async with asyncio.timeout(min(server.timeout_seconds, 2 * server.connect_seconds)):
        reply = await client.models.with_raw_response.list()
    try:
        entries = read_object(reply.content).get("data")
    except ReplyError as error:
        raise ReplyError(f"{error}; it begins with {reply.content[:BEGINNING].decode(errors='replace')}") from error
    names = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    models = [name for name in names if isinstance(name, str) and name.isprintable() and name]
    if not models:
        raise ReplyError("it lists no models")
    return models


async def served_model(urls: Sequence[str], model: str | None, key: str, server: ServerOptions) -> str:
    """Check every server before anything is asked.

    Args:
        urls: base URLs.
        model: the id that is wanted; None takes the one that is served.
        key: of the servers.
        server: times.

    Returns:
        The id of the model, as the servers report it.

    Raises:
        JudgeGone: no server can be asked; one that cannot beside one that can is only warned of.
        ValueError: a server does not have the model, or it is left open which of several is meant. The message lists what is served.
    """
    redaction = Redaction(key, urls)
    async with http_client(server) as http:
        found = await asyncio.gather(*(_models_or_trouble(connect(url, key, http), server, redaction) for url in urls))
    places = [address(url) for url in urls]
    troubles = {place: answer for place, answer in zip(places, found, strict=True) if isinstance(answer, Trouble)}
    models = {place: answer for place, answer in zip(places, found, strict=True) if not isinstance(answer, Trouble)}
    words = "; ".join(f"{place}: {_advised(trouble)}" for place, trouble in troubles.items())
    if not models and all(trouble.nobody_listens for trouble in troubles.values()):
        raise JudgeGone(f"there is no judge: {words}. {START}")
    if not models:
        raise JudgeGone(f"the judge cannot be asked: {words}")
    if troubles:
        logger.warning("the judge is asked without %s", words)
    try:
        return _chosen(models, model)
    except ValueError as error:
        raise ValueError(redaction.message(str(error), LONGEST_LIST)) from None


async def what_is_missing(client: AsyncOpenAI, model: str, server: ServerOptions, redaction: Redaction) -> Missing | None:
    """None when a server is there and has the model, else what is wrong."""
    answer = await _models_or_trouble(client, server, redaction)
    if isinstance(answer, Trouble):
        return Missing(_advised(answer), answer.refuses_key)
    return None if model in answer else Missing(redaction.message(f"it serves {_listed(answer)} now, not {model}", LONGEST_LIST))


def _advised(trouble: Trouble) -> str:
    """What is wrong with a server that does not list its models, and what can be done about it."""
    if trouble.refuses_key:
        return f"it refuses the key ({trouble.status}): set GLORIA_JUDGE_API_KEY"
    if trouble.status == KNOWS_NOT:
        return f"{trouble.message}; check that the address ends as the server's API does, mostly in /v1"
    return trouble.message


async def _models_or_trouble(client: AsyncOpenAI, server: ServerOptions, redaction: Redaction) -> list[str] | Trouble:
    try:
        return await served_models(client, server)
    except Exception as error:
        message = redaction.message(f"{type(error).__name__}: {error}")
        return trouble_of(error, redaction) or Trouble(PendingReason.SERVER_ERROR, message)


def _chosen(models: dict[str, list[str]], model: str | None) -> str:
    served = "; ".join(f"{place} serves {_listed(names)}" for place, names in models.items())
    if model is not None:
        if lacking := [place for place, names in models.items() if model not in names]:
            raise ValueError(f"the model {model} is not served by {', '.join(lacking)}: {served}")
        return model
    names = {name for names in models.values() for name in names}
    if len(names) > 1:
        raise ValueError(f"say which model shall judge, there are several: {served}")
    return names.pop()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
