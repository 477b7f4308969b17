"""Notifications of promotion, refusal and failure by Prefect's blocks, to a real webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address, and what was posted to it."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append({"path": self.path, **json.loads(body)})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", posted
        server.shutdown()


@pytest.fixture
def run_notified(run_here: Callable[..., Any], prefect_api: str) -> Callable[..., Any]:
    """Run a recipe that notifies an address through a webhook block."""

    def run(recipe: Path, home: Path, address: str) -> Any:
        from prefect.blocks.notifications import CustomWebhookNotificationBlock
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: prefect_api}):
            CustomWebhookNotificationBlock(
                name="team",
                url=f"{address}{{{{token}}}}",
                json_data={"subject": "{{subject}}", "body": "{{body}}"},
                secrets={"token": "s3cret"},
            ).save("team", overwrite=True)
        return run_here(recipe, home, MIRROR_NOTIFY="custom-webhook/team")

    return run


def test_a_refusal_and_a_failure_are_notified(
    webhook: tuple[str, list[dict[str, Any]]],
    write_recipe: Callable[..., Path],
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_notified: Callable[..., Any],
    tmp_path: Path,
) -> None:
    address, posted = webhook
    home = seeded(tmp_path / "home")
    done = run_notified(copy_recipe(tmp_path), home, address)
    assert done.returncode == 0, done.stderr
    [refusal] = posted
    assert refusal["path"] == "/s3cret"
    assert refusal["subject"] == "en-tiny: not promoted"
    assert " improvement over the base" in refusal["body"].partition("\n")[0]
    assert "models:/mirror-en-tiny/1" in refusal["body"]
    assert "s3cret" not in done.stderr + done.stdout
    assert not any("s3cret" in path.read_text() for path in home.glob("runs/*/*.json"))

    text = tmp_path / "one-sentence-each.txt"
    text.write_text("".join(f"The baker sells {number} wet hats.\n\n" for number in range(40)))
    failing = write_recipe(tmp_path / "failing", text=str(text))
    done = run_notified(failing, home, address)
    assert done.returncode == 1
    [_, failure] = posted
    assert failure["subject"].endswith("en-tiny.toml: failed")
    assert "retrieval of halves needs" in failure["body"]


def test_an_unreachable_webhook_is_a_warning(
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_notified: Callable[..., Any],
    tmp_path: Path,
) -> None:
    home = seeded(tmp_path / "home")
    done = run_notified(copy_recipe(tmp_path), home, "http://127.0.0.1:9/")
    assert done.returncode == 0, done.stderr
    assert (
        "the notification 'en-tiny: not promoted' through custom-webhook/team failed" in done.stderr
    )
    assert "s3cret" not in done.stderr
