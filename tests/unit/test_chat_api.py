"""The client of chat completions: what it sends, what it tries again, what it says when it gives up."""

import email.utils
import logging
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError

from chat_server import DROPPED, ChatServer, Said, completion, in_turn, refusal
from framesift.core.errors import InputError
from framesift.remote import chat_api
from framesift.remote.chat_api import OPENAI, ChatApi, ChatClient

KEY = "sk-secret-0123456789"
ASK = [{"role": "user", "content": "What is seen?"}]


@pytest.fixture(autouse=True)
def direct_and_quick(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(chat_api, "FIRST_WAIT", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def api(server, **fields):
    return ChatApi(model="some-model", base_url=server.url, **fields)


def ask(server, *arguments, **fields):
    return ChatClient(api(server, **fields)).complete(ASK, *arguments)


def test_a_request_is_greedy_and_names_model_messages_limit_and_seed():
    with ChatServer(in_turn(completion("B"))) as server:
        assert ask(server, 16).text == "B"
    [heard] = server.heard
    assert heard.path == "/v1/chat/completions"
    assert heard.body == {"model": "some-model", "messages": ASK, "temperature": 0, "max_tokens": 16, "seed": 0}
    assert "authorization" not in heard.headers


def test_what_a_reasoning_model_wants_can_be_configured():
    fields = {"temperature": None, "seed": None, "token_limit": "max_completion_tokens"}
    with ChatServer(in_turn(completion("B"))) as server:
        ask(server, 16, extra={"reasoning_effort": "low"}, **fields)
    [heard] = server.heard
    assert heard.body == {
        "model": "some-model",
        "messages": ASK,
        "max_completion_tokens": 16,
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize("name", ["model", "messages", "temperature", "n", "media_io_kwargs"])
def test_extra_fields_do_not_replace_what_is_configured_elsewhere(name):
    with pytest.raises(ValidationError, match="cannot be set here"):
        ChatApi(model="m", extra={name: 1})


def test_the_key_comes_from_the_named_variable_and_is_only_sent(monkeypatch, caplog):
    monkeypatch.setenv("SOME_KEY", f"{KEY}\n")  # as a file read into a variable has it
    caplog.set_level(logging.DEBUG)
    said = in_turn(refusal(500, f"broken for {KEY}"), refusal(401, f"Incorrect API key provided: {KEY}"))
    with ChatServer(said) as server:
        configured = api(server, api_key_env="SOME_KEY")
        client = ChatClient(configured)
        with pytest.raises(InputError) as error:
            client.complete(ASK)
    assert [heard.headers["authorization"] for heard in server.heard] == [f"Bearer {KEY}"] * 2
    for text in (str(error.value), repr(error.value), repr(client), repr(vars(client)["_http"]), caplog.text):
        assert KEY not in text
    assert KEY not in repr(configured) + str(configured.spec()) + str(configured.connection())
    assert "Incorrect API key provided: (key)" in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize("key", [None, "", "two words", "schlüssel-geheim"])
def test_a_variable_without_a_usable_key_is_named_and_its_value_is_not(monkeypatch, key):
    if key is not None:
        monkeypatch.setenv("SOME_KEY", key)
    with pytest.raises(InputError, match="SOME_KEY") as error:
        ChatClient(ChatApi(model="m", api_key_env="SOME_KEY"))
    assert not key or key not in str(error.value)


def test_the_key_of_openai_goes_to_openai_alone(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ChatApi(model="m").key_variable() == "OPENAI_API_KEY"
    with ChatServer(in_turn(completion("B"))) as server:
        ask(server)
    assert "authorization" not in server.heard[0].headers


@pytest.mark.parametrize("fields", [{"api_key_env": KEY}, {"base_url": f"https://user:{KEY}@host/v1"}])
def test_a_key_in_the_configuration_is_refused_without_being_shown(fields):
    with pytest.raises(ValidationError) as error:
        ChatApi(model="m", **fields)
    assert KEY not in str(error.value)
    assert KEY not in str(error.value.errors())


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8000/v1", "ftp://host/v1", "http://host:port/v1", "http://:80", "http://a..b/v1"),
        *("http://snow☃man/v1", "http://host/é", "http://a%00b/v1", "http://a\\b/v1", f"http://{'a' * 64}.org/v1"),
    ],
)
def test_an_address_that_names_no_server_is_refused(url):
    with pytest.raises(ValidationError):
        ChatApi(model="m", base_url=url)


def test_a_busy_server_is_asked_again_when_it_says():
    begun = time.monotonic()
    with ChatServer(in_turn(refusal(429, headers={"Retry-After": "0.4"}), completion("B"))) as server:
        done = ask(server)
    assert time.monotonic() - begun >= 0.4
    assert (done.text, done.usage["retries"]) == ("B", 1)


@pytest.mark.parametrize("passing", [refusal(500), refusal(503), Said(502, "<html>"), refusal(429), DROPPED])
def test_what_passes_by_is_tried_again(passing):
    with ChatServer(in_turn(passing, passing, completion("B"))) as server:
        done = ask(server)
    assert (done.text, done.usage["retries"]) == ("B", 2)
    assert server.heard[0].body == server.heard[1].body == server.heard[2].body


def test_waits_double_up_to_a_longest(monkeypatch):
    waits = []
    monkeypatch.setattr(chat_api, "FIRST_WAIT", 1.0)
    monkeypatch.setattr(chat_api, "MAX_WAIT", 3.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    with ChatServer(lambda heard: refusal(500)) as server, pytest.raises(InputError):
        ask(server, max_retries=4)
    assert len(waits) == 4
    for wait, longest in zip(waits, [1, 2, 3, 3], strict=True):
        assert 0.75 * longest <= wait <= longest


def test_a_wait_may_be_told_as_a_date():
    assert chat_api._retry_after(email.utils.formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert chat_api._retry_after(email.utils.formatdate(time.time() - 100)) == 0
    assert chat_api._retry_after("soon") is None


def test_a_date_that_no_calendar_has_is_no_date():
    date = "Wed, 21 Oct 99999999 07:28:00 GMT"
    with ChatServer(in_turn(refusal(429, headers={"Retry-After": date}), completion("B"))) as server:
        assert ask(server).usage["retries"] == 1


def test_nobody_waits_for_a_server_that_says_tomorrow():
    with (
        ChatServer(lambda heard: refusal(429, "quota", {"Retry-After": "86400"})) as server,
        pytest.raises(InputError, match=r"answers 429 \(tried once\): quota"),
    ):
        ask(server)
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("status", "field", "hint"),
    [
        (400, "model: ", "token_limit"),
        (401, "api_key_env: ", "key"),
        (403, "api_key_env: ", "key"),
        (404, "model: ", "/v1"),
        (413, "model: ", "max_side"),
        (422, "model: ", "token_limit"),
    ],
)
def test_a_refusal_is_told_at_once(status, field, hint):
    with (
        ChatServer(lambda heard: refusal(status, "this is why")) as server,
        pytest.raises(InputError, match=f"answers {status} .*this is why") as error,
    ):
        ask(server)
    assert len(server.heard) == 1
    assert str(error.value).startswith(field)
    assert server.url in str(error.value)
    assert hint in str(error.value).split("hint: ")[1]


def test_a_server_that_stays_broken_is_an_error_after_the_last_retry():
    with (
        ChatServer(lambda heard: refusal(500, "out of order")) as server,
        pytest.raises(InputError, match=r"tried 3 times.*out of order"),
    ):
        ask(server, max_retries=2)
    assert len(server.heard) == 3


def test_a_server_that_is_down_is_named():
    with ChatServer(in_turn()) as server:
        pass
    with pytest.raises(InputError, match="cannot be reached") as error:
        ask(server, max_retries=1)
    assert server.url in str(error.value)
    assert "tried 2 times" in str(error.value)


def test_a_silent_server_is_tried_again_and_then_told():
    release = threading.Event()

    def silent(heard):
        release.wait(10)
        return completion("late")

    with ChatServer(silent) as server:
        with pytest.raises(InputError, match=r"no complete reply within 0.2 s \(tried 2 times\)"):
            ask(server, timeout=0.2, max_retries=1)
        release.set()
    assert len(server.heard) == 2


def dripping(start, drop):
    """Send a start, and then a drop every 50 ms for longer than anybody waits."""

    def raw(connection):
        connection.sendall(start)
        for _ in range(200):
            connection.sendall(drop)
            release.wait(0.05)

    release = threading.Event()
    return Said(200, "", raw=raw)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["body", "headers", "1xx"],
)
def test_a_reply_that_never_ends_has_a_deadline(start, drop):
    begun = time.monotonic()
    with (
        ChatServer(lambda heard: dripping(start, drop)) as server,
        pytest.raises(InputError, match=r"no complete reply within 0\.3 s \(tried 2 times\)"),
    ):
        ask(server, timeout=0.3, max_retries=1)
    assert time.monotonic() - begun < 5
    assert len(server.heard) == 2


def flooding(headers, piece, times):
    def raw(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n")
        for _ in range(times):
            connection.sendall(piece)

    return Said(200, "", raw=raw)


def test_a_reply_has_a_largest_size():
    tracemalloc.start()
    try:
        with (
            ChatServer(lambda heard: flooding(b"Content-Length: 600000000", b"x" * 1_000_000, 600)) as server,
            pytest.raises(InputError, match=r"base_url: sent a reply of more than 16 MiB"),
        ):
            ask(server)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert len(server.heard) == 1  # the next one would be as large


def test_a_small_reply_that_unpacks_to_a_large_one_is_not_unpacked():
    packed = zlib.compress(b" " * 50_000_000)
    said = flooding(b"Content-Encoding: deflate\r\nContent-Length: %d" % len(packed), packed, 1)
    with (
        ChatServer(lambda heard: said) as server,
        pytest.raises(InputError, match=r"compresses its replies \('deflate'\)"),
    ):
        ask(server)
    assert server.heard[0].headers["accept-encoding"] == "identity"


def test_usage_counts_tokens_retries_and_cost():
    with ChatServer(in_turn(refusal(500), completion("B", read=2000, written=10))) as server:
        done = ask(server, price_in=2.5, price_out=10)
    assert done.usage == {
        "prompt_tokens": 2000,
        "completion_tokens": 10,
        "retries": 1,
        "truncated": 0,
        "filtered": 0,
        "cost_millionths": 5100,
    }


def test_a_server_that_counts_no_tokens_is_not_said_to_have_read_none():
    said = completion("B")
    with ChatServer(in_turn(Said(200, {"choices": said.body["choices"]}))) as server:
        assert ask(server, price_in=1).usage == {"retries": 0, "truncated": 0, "filtered": 0}


def test_a_truncated_reply_is_kept_and_noted():
    with ChatServer(in_turn(completion("The answer is", "length"))) as server:
        done = ask(server, 3)
    assert (done.text, done.usage["truncated"]) == ("The answer is", 1)


@pytest.mark.parametrize(
    ("said", "filtered"),
    [
        (completion(None), 0),
        (completion(None, "content_filter"), 1),
        (refusal(400, "the prompt was filtered", code="content_filter"), 1),
    ],
)
def test_no_reply_is_an_empty_answer(said, filtered):
    with ChatServer(in_turn(said)) as server:
        done = ask(server)
    assert (done.text, done.usage["filtered"]) == ("", filtered)


@pytest.mark.parametrize(
    "body", ["<html>login</html>", {"detail": "ok"}, {"choices": []}, {"choices": [{"message": 1}]}]
)
def test_a_reply_that_is_no_completion_is_told(body):
    with ChatServer(in_turn(Said(200, body))) as server, pytest.raises(InputError, match="not send a chat completion"):
        ask(server)


def test_threads_share_a_client_and_each_gets_its_own_reply():
    together = threading.Barrier(4, timeout=10)

    def echo(heard):
        together.wait()  # passes when four requests are here at once
        return completion(heard.text)

    with ChatServer(echo) as server:
        client = ChatClient(api(server, parallel=4, max_retries=0))
        with ThreadPoolExecutor(4) as threads:
            texts = [f"question {number}" for number in range(12)]
            done = threads.map(lambda text: client.complete([{"role": "user", "content": text}]).text, texts)
            assert list(done) == texts


def test_the_spec_holds_what_decides_answers_and_the_connection_the_rest():
    one = ChatApi(model="m", base_url="http://one:8000/v1/", price_in=1, timeout=5, parallel=9, api_key_env="A_KEY")
    assert one.spec() == ChatApi(model="m", base_url="http://one:8000/v1").spec()
    assert one.spec() != ChatApi(model="m", base_url="http://two:8000/v1").spec()
    assert one.spec() != ChatApi(model="m", base_url="http://one:8000/v1", seed=1).spec()
    assert ChatApi(**one.spec() | one.connection()) == one
    assert ChatApi(model="m").base_url == OPENAI


def test_a_server_that_says_what_it_serves_may_move():
    one, two = (ChatApi(model="m", base_url=f"http://{host}:8000/v1", served="Qwen@cc59489") for host in ("a", "b"))
    assert one.spec() == two.spec()
    assert one.identity() == two.identity() == "m at Qwen@cc59489"
    assert one.identity() != ChatApi(model="m", base_url="http://a:8000/v1").identity()
    assert ChatApi(**one.spec() | one.connection()) == one
    with pytest.raises(ValidationError):  # rather than asking OpenAI
        ChatApi(**one.spec())
