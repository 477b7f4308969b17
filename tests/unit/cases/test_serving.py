"""Requests to the scoring server that give no texts (case c13 of issue 14)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from tasks.registry.scoring_app import (
    MAX_CHARACTERS,
    MAX_TEXTS,
    RequestError,
    check_body,
    check_request,
)

pytestmark = pytest.mark.case("c13")


@pytest.fixture(scope="module")
def client() -> TestClient:
    """A client of an application that sends back what it gets."""
    app = FastAPI()

    @app.post("/invocations")
    async def echo(request: Request) -> Any:
        return await request.json()

    @app.get("/ping")
    async def ping() -> str:
        return "alive"

    app.middleware("http")(check_request)
    return TestClient(app)


def refusal(inputs: Any) -> str:
    with pytest.raises(RequestError) as error:
        check_body(json.dumps({"inputs": inputs}).encode())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([None], r"inputs[0] is null, not a text"),
        (["a", 7], r"inputs[1] is a number, not a text"),
        ([True], r"inputs[0] is a truth value, not a text"),
        ([["a"]], r"inputs[0] is a list, not a text"),
        ([{"text": "a"}], r"inputs[0] is an object, not a text"),
        ({"text": ["a"]}, r"inputs is an object, not a text"),
        (None, r"inputs is null, not a text"),
        (3.5, r"inputs is a number, not a text"),
        ([], r"inputs has 0 texts"),
        (["a"] * (MAX_TEXTS + 1), r"inputs has 10,001 texts"),
        (["a" * (MAX_CHARACTERS + 1)], r"inputs[0] has 100,001 characters, more than 100,000"),
        (["\ud800"], r"inputs[0] has half of a surrogate pair"),
        ([float("nan")], r"NaN is no JSON"),
        (["a", float("-inf")], r"-Infinity is no JSON"),
    ],
)
def test_inputs_that_are_no_texts_are_refused_in_one_sentence(inputs: Any, message: str) -> None:
    assert message in refusal(inputs)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"not json", "the body is not JSON"),
        (b'{"inputs": ["\xff"]}', "the body is not JSON"),
        ('{"inputs": ["a"]}'.encode("utf-16"), "the body is not JSON"),
        (
            b'{"dataframe_records": [{"text": "a"}, {"other": "b"}]}',
            "dataframe_records[1] is an object, not a text",
        ),
        (b"[" * 200_000, "the body is not JSON"),
        (b'["a"]', "the body is a list, not an object"),
        (b"null", "the body is null, not an object"),
        (b'{"texts": ["a"]}', "the body has 0 of the keys inputs"),
        (b'{"input": "a"}', "the body has 0 of the keys inputs"),
        (b'{"inputs": ["a"], "instances": ["a"]}', "the body has 2 of the keys"),
        (b'{"dataframe_split": {"columns": ["text"], "data": [[null]]}}', "data[0] is null"),
        (b'{"dataframe_split": {"data": [["a"]]}}', "must have one name in columns"),
        (b'{"dataframe_records": [{"text": 1}]}', "dataframe_records[0] is a number"),
        (b'{"dataframe_records": [{"a": "b", "c": "d"}]}', "[0] is an object"),
        (b'{"instances": [null]}', "instances[0] is null"),
    ],
)
def test_bodies_without_texts_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(RequestError) as error:
        check_body(body)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        {"inputs": ["a", "", "None", "日本語 🙂"]},
        {"inputs": "a"},
        {"inputs": ["a"], "params": {}},
        {"instances": ["a"]},
        {"dataframe_split": {"columns": ["text"], "data": [["a"], ["b"]]}},
        {"dataframe_records": [{"text": "a"}]},
    ],
)
def test_texts_are_passed_on_unchanged(client: TestClient, content: Any) -> None:
    answer = client.post("/invocations", json=content)
    assert (answer.status_code, answer.json()) == (200, content)


def test_the_answer_is_a_400_with_one_sentence(client: TestClient) -> None:
    answer = client.post("/invocations", json={"inputs": [None]})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("inputs[0] is null, not a text: send {")


def test_another_content_type_is_a_415(client: TestClient) -> None:
    answer = client.post("/invocations", content=b"a\nb\n", headers={"content-type": "text/csv"})
    assert answer.status_code == 415
    assert "the content type is text/csv: send application/json" in answer.json()["message"]


def test_a_body_that_is_too_large_is_refused_unread(client: TestClient) -> None:
    headers = {"content-type": "application/json", "content-length": str(1 << 40)}
    answer = client.post("/invocations", content=b"{}", headers=headers)
    assert answer.status_code == 400
    assert "more than 64" in answer.json()["message"]


def test_other_paths_are_passed_on(client: TestClient) -> None:
    assert client.get("/ping").json() == "alive"
