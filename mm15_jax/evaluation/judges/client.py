"""Asks a language model behind an OpenAI-compatible address, and never waits without end.

What a server does is met so:

- 408, 409, 425, 429, 5xx, a lost connection and a try that takes too long are tried again, after
  1, 2, 4 ... 60 s (with jitter) or what the server's Retry-After says;
- a request that the server refuses because of its content (too long, filtered) is a reply that
  cannot be read: it belongs to one answer, and the others go on;
- all else (a wrong key, an unknown model, a wrong address) stops the judging at once.

The key is sent in one header and is nowhere else: not in `repr`, not in a log, not in an error.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import email.utils
import json
import os
import random
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

URL_VARIABLES = ("OPENAI_API_URL", "OPENAI_BASE_URL")
MODEL_VARIABLES = ("MODEL_VERSION", "GPT_EVAL_MODEL_NAME")
KEY_VARIABLE = "OPENAI_API_KEY"
OPENAI = "https://api.openai.com/v1"

_AGAIN = {408, 409, 425, 429}
# Of one request's content: an error's "code" (OpenAI) or "type" (llama.cpp).
_OF_CONTENT = {
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "exceed_context_size_error",
}
# vLLM calls every 400 the same; only the sentence tells.
_TOO_LONG = re.compile(r"maximum context length|context size", re.IGNORECASE)
_LONGEST_PAUSE = 60.0
_LONGEST_MESSAGE = 300  # characters of a server's message that are repeated

Message = Mapping[str, str]


class JudgeError(ValueError):
    """The judge cannot be asked: one sentence why, without the key."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """What the judge said.

    Attributes:
      text: its words; "" where the server refused to answer.
      model: the model as the server calls it, which may name a version.
      refused: why the server refused this request; "" if it did not.
    """

    text: str
    model: str
    refused: str = ""


@dataclasses.dataclass(frozen=True)
class Judge:
    """A language model behind an OpenAI-compatible address.

    Attributes:
      url: the server, with or without "/chat/completions".
      model: the model's name, as the server knows it.
      key: sent as a bearer token; "" for a server that wants none.
      concurrency: most requests at once.
      try_seconds: a try that takes longer is given up.
      total_seconds: a question that takes longer, pauses included, is given up.
      tries: most tries of a question.
      first_pause: seconds before the second try; doubled each time.
    """

    url: str
    model: str
    key: str = dataclasses.field(default="", repr=False)
    concurrency: int = 8
    try_seconds: float = 120.0
    total_seconds: float = 900.0
    tries: int = 8
    first_pause: float = 1.0

    def __post_init__(self):
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            given = self.hide(self.url.rpartition("@")[2])
            raise JudgeError(
                f"the judge's address is {given!r}, expected one as {OPENAI} or"
                " http://localhost:8000/v1"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise JudgeError(
                f"the judge's address at {parts.hostname} has a user, a password or a query,"
                f" expected none: a key belongs in {KEY_VARIABLE}"
            )
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise JudgeError(f"{KEY_VARIABLE} has a character that no key has (a line break?)")
        for name in ("concurrency", "tries", "try_seconds", "total_seconds"):
            if getattr(self, name) <= 0:
                raise JudgeError(f"the judge's {name} is {getattr(self, name)}, expected above 0")

    @property
    def endpoint(self) -> str:
        """Where requests go."""
        base = self.url.rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"

    def hide(self, text: str) -> str:
        """A text of the server's without the key: servers repeat it in error messages."""
        return text.replace(self.key, "[key]") if self.key else text

    def connect(self) -> Connection:
        """An asynchronous context in which questions are asked.

        Raises:
          JudgeError: the library for it is not installed.
        """
        return Connection(self)


def judge_from_environment(environment: Mapping[str, str] | None = None, **options: Any) -> Judge:
    """The judge that the field's environment variables name.

    OPENAI_API_URL or OPENAI_BASE_URL is the server (OpenAI's own by default), OPENAI_API_KEY the
    key, MODEL_VERSION or GPT_EVAL_MODEL_NAME the model. The model has no default: a benchmark's
    score belongs to the model that gave it.

    Args:
      environment: `os.environ` by default.
      **options: other fields of `Judge`.

    Raises:
      JudgeError: a variable is missing; the sentence says which to set.
    """
    found = os.environ if environment is None else environment

    def first(names: Sequence[str]) -> str:
        return next((found[name].strip() for name in names if found.get(name, "").strip()), "")

    url, model, key = first(URL_VARIABLES), first(MODEL_VARIABLES), first([KEY_VARIABLE])
    missing = []
    if not key and not url:
        missing.append(f"{KEY_VARIABLE} (or {URL_VARIABLES[1]} for a server that wants no key)")
    if not model:
        missing.append(f"{MODEL_VARIABLES[0]} (the judge's name, such as gpt-4o-2024-11-20)")
    if missing:
        raise JudgeError(
            f"no language model is there to judge answers: set {' and '.join(missing)}"
        )
    return Judge(url=url or OPENAI, model=model, key=key, **options)


class Connection:
    """Open connections to one judge; asks at most `judge.concurrency` questions at once."""

    def __init__(self, judge: Judge):
        """Imports the client library, which is an extra."""
        try:
            import httpx2
        except ImportError:
            raise JudgeError(
                "judges are asked by the package httpx2, which is not installed:"
                " pip install 'mm15_jax[judge]'"
            ) from None
        self._library = httpx2
        self._judge = judge
        self._places = asyncio.Semaphore(judge.concurrency)
        self._client: Any = None

    async def __aenter__(self) -> Connection:
        """Opens."""
        judge = self._judge
        headers = {"Authorization": f"Bearer {judge.key}"} if judge.key else {}
        limits = self._library.Limits(max_connections=judge.concurrency)
        self._client = self._library.AsyncClient(
            headers=headers, limits=limits, timeout=judge.try_seconds
        )
        return self

    async def __aexit__(self, *unused: object) -> None:
        """Closes."""
        await self._client.aclose()

    async def ask(self, messages: Sequence[Message], parameters: Mapping[str, Any]) -> Reply:
        """Asks one question, again and again within the judge's limits.

        Args:
          messages: [{"role", "content"}, ...].
          parameters: others of the request, such as temperature and max_tokens.

        Raises:
          JudgeError: no reply; the sentence says what the last try met.
        """
        async with self._places:
            judge = self._judge
            body = {"model": judge.model, "messages": list(messages), **parameters}
            loop = asyncio.get_running_loop()
            end = loop.time() + judge.total_seconds
            trouble = ""
            for number in range(1, judge.tries + 1):
                left = end - loop.time()
                outcome = await self._try(body, min(judge.try_seconds, left))
                if isinstance(outcome, Reply):
                    return outcome
                trouble, wanted = outcome
                pause = min(_LONGEST_PAUSE, judge.first_pause * 2 ** (number - 1))
                pause *= random.uniform(0.75, 1.25)  # so that clients do not come back together
                pause = wanted if wanted is not None else pause
                if number == judge.tries or loop.time() + pause >= end:
                    break
                await asyncio.sleep(pause)
            said = f", and asks for {wanted:.0f} s of patience" if wanted else ""
            raise JudgeError(
                f"the judge {judge.model} at {judge.endpoint} gave no reply in {number}"
                f" {'try' if number == 1 else 'tries'}: {trouble}{said}; what was judged is kept,"
                " run the same again to go on"
            )

    async def _try(
        self, body: Mapping[str, Any], seconds: float
    ) -> Reply | tuple[str, float | None]:
        """A reply, or what went wrong and how long the server wants us to wait."""
        judge = self._judge
        try:
            # The library's own limit is between two bytes: a server that drips is never too slow.
            async with asyncio.timeout(seconds):
                response = await self._client.post(judge.endpoint, json=body)
        except (TimeoutError, self._library.TimeoutException):
            return f"nothing came within {seconds:.3g} s", None
        except self._library.RequestError as error:  # the way there, or a body that is broken
            return judge.hide(f"{type(error).__name__} {error}".strip()), None
        status = response.status_code
        if status == 200:
            return self._read(response)
        message, names = _message_of(response)
        message = judge.hide(message)
        said = f"HTTP {status}" + (f" ({message})" if message else "")
        # The name first: llama.cpp has sent what is too long as a 500.
        too_long = status == 413 or (status == 400 and _TOO_LONG.search(message))
        if names & _OF_CONTENT or too_long:
            return Reply("", judge.model, refused=said)
        if status in _AGAIN or status >= 500:
            if "insufficient_quota" in names:
                raise JudgeError(f"the judge {judge.model} at {judge.endpoint} answers {said}")
            return said, _retry_after(response)
        hint = {401: f"; is {KEY_VARIABLE} right?", 404: "; are address and model right?"}
        raise JudgeError(
            f"the judge {judge.model} at {judge.endpoint} answers {said}{hint.get(status, '')}"
        )

    def _read(self, response: Any) -> Reply | tuple[str, float | None]:
        """The text of a good reply; a broken one is tried again."""
        judge = self._judge
        try:
            fields = response.json()
            message = fields["choices"][0]["message"]
            text = message.get("content") or message.get("refusal") or ""
            model = str(fields.get("model") or judge.model)
        except (ValueError, LookupError, TypeError, AttributeError):
            return "HTTP 200 with no chat completion in it", None
        # Half a letter, which JSON may have, is in no file: a question mark.
        text = str(text).encode(errors="replace").decode()
        return Reply(judge.hide(text), judge.hide(model))


def _message_of(response: Any) -> tuple[str, set[str]]:
    """A server's error message on one line, and what it calls the error: its code and its type.

    They are under "error" (OpenAI, llama.cpp, newer vLLM), or at the top (older vLLM).
    """
    try:
        fields = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, Mapping):
        return "", set()
    error = fields.get("error", fields)
    if not isinstance(error, Mapping):
        error = {**fields, "message": error}
    text = str(error.get("message") or "")
    return " ".join(text.split())[:_LONGEST_MESSAGE], {
        str(error[name]) for name in ("code", "type") if error.get(name)
    }


def _retry_after(response: Any) -> float | None:
    """Seconds of a Retry-After header, which has a number or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            then = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        if then.tzinfo is None:
            then = then.replace(tzinfo=datetime.UTC)
        seconds = (then - datetime.datetime.now(datetime.UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None
