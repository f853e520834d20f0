"""Chat completions from a server, as OpenAI, vLLM and SGLang offer them: its settings, and a client.

The key of a server is read from an environment variable. It is never in a configuration, spec, log or error.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import os
import random
import re
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

from framesift.core.errors import InputError
from framesift.core.spec import not_in_spec, spec_of
from framesift.storage.untrusted import parse_json

if TYPE_CHECKING:
    from tenacity import RetryCallState

log = logging.getLogger("framesift")
T = TypeVar("T")

OPENAI = "https://api.openai.com/v1"
#: Seconds before the first retry (each further one waits twice as long), and the longest of these waits.
FIRST_WAIT, MAX_WAIT = 1.0, 60.0
#: Longest `Retry-After`, in seconds, that is waited for.
MAX_RETRY_AFTER = 600.0
#: Bytes of the largest reply. An answer with the log-probabilities of all its tokens has a few hundred thousand.
MAX_REPLY = 16 << 20
#: Statuses worth a retry, as all of 500 and above: time-out, conflict, too early, too many requests.
TRANSIENT = (408, 409, 425, 429)
#: Error codes of a content filter, which counts as the model's answer, not as a mistake of the user.
FILTER_CODES = ("content_filter", "content_policy_violation")
#: Fields of every request, which `extra` cannot change.
RESERVED_FIELDS = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed"),
    *("n", "stream", "media_io_kwargs"),
}
_V1 = "the address usually ends in /v1"
_HOST = r"([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\])"
_URL, _VARIABLE = rf"^https?://{_HOST}(:[0-9]+)?(/[!-~]*)?$", r"^[A-Za-z_][A-Za-z0-9_]*$"


def _without_password(value: Any) -> Any:
    """Replace an address that may contain a secret by a text that is rejected without showing it."""
    return "(not shown)" if isinstance(value, str) and set("@?#") & set(value) else value


def _variable_name(value: Any) -> Any:
    """Replace a text that is not a name, and so may be the key itself, by one that is rejected without showing it."""
    return "(not shown)" if isinstance(value, str) and not re.fullmatch(_VARIABLE, value) else value


class ChatApi(BaseModel):
    """Settings of a model behind a chat-completions server.

    Examples
    --------
    >>> api = ChatApi(model="Qwen/Qwen3-VL-8B-Instruct", base_url="http://localhost:8000/v1/")
    >>> api.identity()
    'Qwen/Qwen3-VL-8B-Instruct at http://localhost:8000/v1'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str = Field(min_length=1, description="Name of the model at the server.")
    base_url: Annotated[str, BeforeValidator(_without_password), StringConstraints(pattern=_URL)] = Field(
        default=OPENAI,
        description="Address of the server: what comes before `/chat/completions`. It tells apart two servers that"
        " have different weights under one name, so moving a server asks again; see `served`.",
    )
    served: str | None = Field(
        default=None,
        min_length=1,
        description="What is behind the name, such as a commit or a date, for a server whose address may change: it"
        " then takes the place of the address in what identifies answers.",
    )
    api_key_env: Annotated[str, BeforeValidator(_variable_name), StringConstraints(pattern=_VARIABLE)] | None = Field(
        default=None,
        description="Name of the environment variable that holds the key; none for `OPENAI_API_KEY` at OpenAI's own"
        " address, and for no key elsewhere.",
        json_schema_extra=not_in_spec(),
    )
    temperature: float | None = Field(
        default=0, ge=0, description="Sampling temperature; none leaves it out, for models that refuse it."
    )
    token_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens",
        description="How the request names the longest answer; OpenAI's reasoning models want `max_completion_tokens`.",
    )
    seed: int | None = Field(default=0, description="Seed of the server's sampling; none leaves it out.")
    extra: dict[str, Any] = Field(
        default={}, description="Further fields of the request, such as `{reasoning_effort: low}`."
    )
    parallel: int = Field(
        default=4, ge=1, description="Requests that are under way at a time.", json_schema_extra=not_in_spec()
    )
    timeout: float = Field(
        default=600,
        gt=0,
        description="Seconds that a reply may take, from the request to its last byte.",
        json_schema_extra=not_in_spec(),
    )
    max_retries: int = Field(
        default=6,
        ge=0,
        description="How often a request is sent again when the server is busy, broken or silent. Waits double from"
        " 1 s to 60 s, unless the server says how long.",
        json_schema_extra=not_in_spec(),
    )
    price_in: float | None = Field(
        default=None, ge=0, description="Price of a million tokens read.", json_schema_extra=not_in_spec()
    )
    price_out: float | None = Field(
        default=None, ge=0, description="Price of a million tokens written.", json_schema_extra=not_in_spec()
    )

    @field_validator("base_url")
    @classmethod
    def _address(cls, base_url: str) -> str:
        if not urlsplit(base_url).hostname or urlsplit(base_url).port == 0:  # `port` raises for what is no number
            raise ValueError("does not name a server")
        return base_url.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _not_reserved(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(RESERVED_FIELDS & extra.keys()):
            raise ValueError(f"{', '.join(taken)} cannot be set here")
        return extra

    def spec(self) -> dict[str, Any]:
        """The parameters that decide answers, as plain types.

        With `served` the address is empty; `connection` has it.
        """
        return spec_of(self) | ({"base_url": ""} if self.served else {})

    def connection(self) -> dict[str, Any]:
        """The other fields that a program needs, which do not change answers: address, time-out, prices, ..."""
        names = [
            name
            for name, one in ChatApi.model_fields.items()
            if isinstance(one.json_schema_extra, dict) and one.json_schema_extra.get("spec") is False
        ]
        return self.model_dump(mode="json", include={"base_url", *names})

    def identity(self) -> str:
        """What identifies the weights: a name, and `served` or the address of the server."""
        return f"{self.model} at {self.served or self.base_url}"

    def key_variable(self) -> str | None:
        """The environment variable of the key. OpenAI's key goes to no other server, unless the settings say so."""
        return self.api_key_env or ("OPENAI_API_KEY" if self.base_url == OPENAI else None)


@dataclass(frozen=True)
class Completion:
    """What a model replied.

    Attributes
    ----------
    text : str
        Empty if the server sent none.
    usage : dict
        `prompt_tokens` and `completion_tokens` if the server counts them; `retries`; `truncated` (1: the answer
        reached its longest length); `filtered` (1: a content filter replaced it); and, with prices,
        `cost_millionths` of their currency.
    first_token : dict or None
        Log-probabilities of the most likely first tokens, if requested (`logprobs`) and sent.
    """

    text: str
    usage: dict[str, int] = field(default_factory=dict)
    first_token: dict[str, float] | None = None


class ChatClient:
    """A client of one server. Threads may share it; a ``with`` statement closes its connections.

    Parameters
    ----------
    api : ChatApi

    Raises
    ------
    InputError
        If the environment variable of the key is not set.
    """

    def __init__(self, api: ChatApi) -> None:
        import httpx2

        self.api = api
        self._key = _key(api.key_variable())
        self._http = httpx2.AsyncClient(
            # not compressed: a few bytes of gzip can unpack to gigabytes
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=httpx2.Timeout(None, connect=min(api.timeout, 30.0)),
            limits=httpx2.Limits(max_connections=api.parallel, max_keepalive_connections=api.parallel),
        )
        # Only asyncio has a deadline for a whole exchange: httpx2 restarts its time-outs with every byte that arrives.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="chat client", daemon=True).start()

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._http.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int | None = None,
        fields: Mapping[str, Any] | None = None,
        hint: str | None = None,
    ) -> Completion:
        """Request one completion.

        Parameters
        ----------
        messages : sequence of dict
            Roles and contents, in the form of the API.
        max_tokens : int or None
            Longest answer; None for the server's default.
        fields : dict, optional
            Further fields of the request.
        hint : str, optional
            What to do if the server rejects the request itself.

        Raises
        ------
        InputError
            If the server rejects the request, cannot be reached, or stays busy.
        """
        import httpx2
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        api = self.api
        own = {"temperature": api.temperature, "seed": api.seed, api.token_limit: max_tokens}
        request: dict[str, Any] = {"model": api.model, "messages": list(messages)}
        request |= {name: value for name, value in own.items() if value is not None}
        body = json.dumps(request | dict(fields or {}) | api.extra).encode()
        retrying = Retrying(
            retry=retry_if_exception(_should_retry),
            wait=_wait,
            stop=stop_after_attempt(api.max_retries + 1),
            before_sleep=self._log_retry,
            reraise=True,
        )
        tries = 0
        try:
            for attempt in retrying:
                with attempt:
                    tries += 1
                    reply = self._post(body)
        except _StatusError as error:
            if error.filtered:
                return Completion("", {"retries": tries - 1, "truncated": 0, "filtered": 1})
            raise self._input_error(error, tries, hint) from None
        except TimeoutError:
            raise InputError(
                f"{api.base_url} sent no complete reply within {api.timeout:g} s ({_times(tries)})",
                field="timeout",
                value=api.timeout,
                hint="set a longer timeout, or fewer requests at a time (parallel)",
            ) from None
        except _UnusableReplyError as error:
            raise InputError(str(error), field="base_url", value=api.base_url, hint=_V1) from None
        except (httpx2.InvalidURL, UnicodeError) as error:  # an address that only the resolver finds fault with
            raise InputError(f"is not an address ({error})", field="base_url", value=api.base_url) from None
        except httpx2.TransportError as error:
            why = self._without_key(str(error) or type(error).__name__)
            raise InputError(
                f"cannot be reached, or closed the connection ({_times(tries)}): {why}",
                field="base_url",
                value=api.base_url,
                hint="check that the server is running, and run again: answers so far are saved",
            ) from None
        return self._completion(reply, tries - 1)

    def _post(self, body: bytes) -> bytes:
        """The body of the reply to a request."""
        status, headers, content = self._await(self._exchange(body))
        if status != 200:
            raise _StatusError(status, headers.get("retry-after"), content)
        return content

    async def _exchange(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        url, content = f"{self.api.base_url}/chat/completions", bytearray()
        async with asyncio.timeout(self.api.timeout), self._http.stream("POST", url, content=body) as response:
            encoding = response.headers.get("content-encoding") or "identity"
            if encoding != "identity":
                raise _UnusableReplyError(f"compresses its replies ({encoding[:40]!r}), though asked not to")
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > MAX_REPLY:
                    raise _UnusableReplyError(f"sent a reply of more than {MAX_REPLY >> 20} MiB")
        return response.status_code, response.headers, bytes(content)

    def _await(self, task: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(task, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C among them, which the loop's thread does not see
            future.cancel()
            raise

    def _completion(self, reply: bytes, retries: int) -> Completion:
        api = self.api
        try:
            answer = parse_json(reply, lenient=True)
            choice = answer["choices"][0]
            text = choice["message"].get("content") or ""
            reason, counted = choice.get("finish_reason"), answer.get("usage") or {}
            tokens = {name: int(counted[name]) for name in ("prompt_tokens", "completion_tokens") if name in counted}
            if not isinstance(text, str) or any(not 0 <= count < 1 << 53 for count in tokens.values()):
                raise TypeError
            listed = (choice.get("logprobs") or {}).get("content")
            likely = listed[0]["top_logprobs"] if listed else ()
            first = {one["token"]: float(one["logprob"]) for one in likely if one["logprob"] is not None}
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            raise InputError(
                f"did not send a chat completion: {self._without_key(_text_of(reply))}",
                field="base_url",
                value=api.base_url,
                hint=_V1,
            ) from None
        usage = {**tokens, "retries": retries, "truncated": int(reason == "length")}
        usage["filtered"] = int(reason == "content_filter")
        prices = {"prompt_tokens": api.price_in, "completion_tokens": api.price_out}
        if tokens and any(price is not None for price in prices.values()):
            usage["cost_millionths"] = round(sum(tokens.get(name, 0) * (price or 0) for name, price in prices.items()))
        return Completion(text, usage, first if listed else None)

    def _input_error(self, error: _StatusError, tries: int, hint: str | None) -> InputError:
        api, status = self.api, error.status
        problem = f"{api.base_url} answers {status} ({_times(tries)}): {self._without_key(error.message)}"
        if status in (401, 403):
            advice = "set it to a key that this server and model accept" if self._key else "name the variable of a key"
            return InputError(problem, field="api_key_env", value=api.key_variable(), hint=advice)
        if status == 404 or status < 400:
            advice = f"{api.base_url}/models lists the names; base_url usually ends in /v1"
            return InputError(problem, field="model", value=api.model, hint=advice)
        if _is_transient(status):
            advice = "run again later, with more max_retries or fewer requests at a time (parallel)"
            return InputError(problem, field="base_url", hint=f"{advice}; answers so far are saved")
        if status == 413:
            hint = "send fewer or smaller images (max_side, jpeg_quality)"
        return InputError(
            problem,
            field="model",
            value=api.model,
            hint=hint or "token_limit, temperature, seed and extra change what is sent",
        )

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        what = f"answers {error.status}" if isinstance(error, _StatusError) else f"fails ({type(error).__name__})"
        log.warning("%s %s; retrying in %.1f s", self.api.base_url, what, seconds)

    def _without_key(self, text: str) -> str:
        """A server's text on one line, without the key, which some servers repeat."""
        line = " ".join(text.split())
        return (line.replace(self._key, "(key)") if self._key else line)[:400]


class _StatusError(Exception):
    """A status other than 200."""

    def __init__(self, status: int, retry_after: str | None, reply: bytes) -> None:
        super().__init__()
        self.status = status
        self.retry_after = _retry_after(retry_after)
        try:
            content = parse_json(reply, lenient=True)
        except ValueError:
            content = _text_of(reply)
        error = content.get("error", content) if isinstance(content, dict) else content
        details = error if isinstance(error, dict) else {"message": error}
        self.message = str(
            details.get("message") or details.get("detail") or _text_of(reply) or responses.get(status, "")
        )
        self.filtered = self.status == 400 and details.get("code") in FILTER_CODES


class _UnusableReplyError(Exception):
    """A reply that is not worth reading."""


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            "is not set, or does not hold a key",
            field="api_key_env",
            value=variable,
            expected="the name of an environment variable that holds the server's key",
            hint=f"export {variable}=...",
        )
    return key


def _text_of(reply: bytes) -> str:
    return reply.decode("utf-8", errors="replace")


def _is_transient(status: int) -> bool:
    return status in TRANSIENT or status >= 500


def _should_retry(error: BaseException) -> bool:
    import httpx2

    if isinstance(error, _StatusError):
        return _is_transient(error.status) and (error.retry_after or 0) <= MAX_RETRY_AFTER
    return isinstance(error, httpx2.TransportError | TimeoutError) and not isinstance(
        error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol
    )


def _wait(state: RetryCallState) -> float:
    """Seconds before the next try: the server's `Retry-After`, else doubling, less a random share up to a quarter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _StatusError) and error.retry_after is not None:
        return error.retry_after
    return min(MAX_WAIT, FIRST_WAIT * 2 ** (state.attempt_number - 1)) * random.uniform(0.75, 1)


def _retry_after(header: str | None) -> float | None:
    """Seconds of a header `Retry-After`: a number, or a date; None if it is neither.

    Examples
    --------
    >>> _retry_after("2.5"), _retry_after("soon"), _retry_after("Wed, 21 Oct 99999 07:28:00 GMT")
    (2.5, None, None)
    """
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _times(tries: int) -> str:
    return "tried once" if tries == 1 else f"tried {tries} times"
