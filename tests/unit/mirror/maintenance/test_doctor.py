import http.server
import sqlite3
import threading
import time
from collections import namedtuple

import pytest

from mirror.maintenance import doctor, hardware, network, packages
from mirror.maintenance.doctor import run_checks
from mirror.maintenance.network import ask, check_hub, check_tracking, without_login


@pytest.fixture
def serve():
    """Start servers that answer every request with one status, after some seconds."""
    servers = []

    def start(status, seconds=0.0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(seconds)
                self.server.asked.append(self.path)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server, f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these versions are installed."""

    def pretend(**versions):
        def version(name):
            if name not in versions:
                raise packages.importlib.metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(packages.importlib.metadata, "version", version)

    return pretend


def test_each_check_runs_once_and_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    results = run_checks(tmp_path / "new", f"sqlite:///{tmp_path}/new/mlflow.db")
    names = [result.name for result in results if result.name != "recipes"]
    assert names == [
        "python",
        "packages",
        "prefect with fastapi",
        "pins",
        "extras",
        "torch",
        "gpu",
        "bf16",
        "cores",
        "workspace",
        "disk",
        "tracking",
        "hub",
        "base model",
        "benchmarks",
    ]
    assert all(result.remedy for result in results if result.state != "ok")
    assert list(tmp_path.iterdir()) == []


def test_packages_of_this_environment_are_what_the_project_asks_for():
    results = {result.name: result for result in packages.check_packages()}
    assert results["packages"].state == "ok", results["packages"].text


def test_old_python_is_bad():
    assert packages.check_python((3, 10)).state == "bad"
    assert packages.check_python((3, 11)).state == "ok"


def test_missing_and_wrong_packages_are_named(installed):
    installed(numpy="1.26.4", click="8.1")
    result = packages.check_requirements(
        ["numpy>=2,<3", "click>=8.1", "torch", "x; python_version<'3'"]
    )
    assert result.state == "bad"
    assert "numpy is 1.26.4, not <3,>=2" in result.text
    assert "torch is not installed" in result.text
    assert "click" not in result.text
    assert "x is" not in result.text


@pytest.mark.parametrize(
    ("prefect", "fastapi", "state"),
    [
        ("3.8.8", "0.150.0", "ok"),
        ("3.8.8", "0.151.0", "bad"),
        ("3.8.8", "0.165.0", "bad"),
        ("3.9.1", "0.165.0", "ok"),
    ],
)
def test_prefect_that_a_newer_fastapi_breaks_is_bad(installed, prefect, fastapi, state):
    installed(prefect=prefect, fastapi=fastapi)
    assert packages.check_prefect_with_fastapi().state == state


def test_differences_from_the_pins_are_a_warning(installed, tmp_path):
    path = tmp_path / "constraints.txt"
    path.write_text("# made by pip\nnumpy==2.4.6\ntorch==2.13.0\nclick==8.5.1\n")
    installed(numpy="2.4.6", torch="2.13.0+cpu")
    assert packages.check_pins(path).state == "ok"
    installed(numpy="2.3.0", torch="2.13.0+cpu")
    result = packages.check_pins(path)
    assert result.state == "warn"
    assert "numpy 2.3.0 (tested with 2.4.6)" in result.text
    assert "torch" not in result.text


def test_extras_that_are_absent_are_no_fault_but_named(installed):
    installed(jieba="0.42.1")
    result = packages.check_extras({"zh": ["jieba>=0.42"], "th": ["pythainlp>=5"], "dev": ["ruff"]})
    assert result.state == "ok"
    assert result.text == "installed: zh; not installed: th"
    assert "'.[th]'" in result.remedy


def test_a_checkout_without_project_file_is_bad(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "CHECKOUT", tmp_path)
    assert [each.state for each in packages.check_packages()] == ["ok", "bad"]


@pytest.mark.parametrize(
    ("cores", "threads", "load", "state", "remedy"),
    [
        (4, 4, 0.2, "ok", ""),
        (4, 1, 3.9, "ok", ""),
        (4, 2, 2.0, "ok", ""),
        (4, 4, 1.6, "warn", "OMP_NUM_THREADS=2"),
        (2, 2, 9.0, "warn", "OMP_NUM_THREADS=1"),
        (2, 8, 0.0, "warn", "OMP_NUM_THREADS=2"),
    ],
)
def test_threads_that_share_a_core_are_a_warning(cores, threads, load, state, remedy):
    result = hardware.check_cores(cores, threads, load)
    assert result.state == state
    assert result.remedy.endswith(remedy)


def test_torch_that_cannot_be_imported_is_bad(monkeypatch):
    monkeypatch.setitem(hardware.os.sys.modules, "torch", None)
    assert [result.state for result in hardware.check_torch()] == ["bad"]


def test_workspace_below_a_file_is_bad(tmp_path):
    (tmp_path / "file").write_text("")
    assert hardware.check_workspace(tmp_path / "file").state == "bad"
    assert hardware.check_workspace(tmp_path / "new" / "newer").state == "ok"


@pytest.mark.parametrize(("gigabytes", "state"), [(9, "ok"), (4.9, "warn"), (0.4, "bad")])
def test_low_disk_space_is_a_warning(monkeypatch, tmp_path, gigabytes, state):
    usage = namedtuple("usage", "total used free")(0, 0, int(gigabytes * 1e9))
    monkeypatch.setattr(hardware.shutil, "disk_usage", lambda path: usage)
    assert hardware.check_disk(tmp_path).state == state


def test_hub_is_not_asked_when_switched_off(serve):
    server, url = serve(200)
    for value in ("1", "true", "YES"):
        result = check_hub({"HF_HUB_OFFLINE": value, "HF_ENDPOINT": url})
        assert result.state == "ok"
        assert "HF_HUB_OFFLINE" in result.text
    assert server.asked == []
    assert check_hub({"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": url}).text == f"{url} answers"
    assert server.asked == ["/"] or server.asked == [""]


def test_hub_out_of_reach_is_a_warning(serve):
    _, failing = serve(503)
    for url in (failing, "http://127.0.0.1:1", "ftp://hub"):
        assert check_hub({"HF_ENDPOINT": url}).state == "warn"


@pytest.mark.parametrize(
    ("status", "state"), [(200, "ok"), (401, "warn"), (404, "bad"), (500, "bad")]
)
def test_tracking_server_is_asked_for_its_health(serve, status, state):
    server, url = serve(status)
    assert check_tracking(f"{url}/").state == state
    assert server.asked == ["/health"]


def test_a_tracking_server_that_is_down_is_bad_within_seconds():
    began = time.monotonic()
    result = check_tracking("http://127.0.0.1:1")
    assert result.state == "bad"
    assert "mlflow server" in result.remedy
    assert time.monotonic() - began < 4


def test_a_plain_word_is_no_tracking_store() -> None:
    result = check_tracking("nonsense")
    assert (result.state, result.text) == ("bad", "nonsense is not an address")


def test_a_store_of_databricks_is_left_to_mlflow() -> None:
    assert check_tracking("databricks").state == "warn"


def test_a_server_that_never_answers_times_out(serve, monkeypatch):
    monkeypatch.setattr(network, "TIMEOUT_SECONDS", 0.2)
    _, url = serve(200, seconds=1.0)
    began = time.monotonic()
    assert isinstance(ask(url), str)
    assert time.monotonic() - began < 0.9


def test_passwords_are_never_shown():
    uri = "postgresql://maker:s3cret@db.example:5432/runs"
    assert without_login(uri) == "postgresql://db.example:5432/runs"
    assert "s3cret" not in check_tracking(uri).text
    assert "s3cret" not in check_tracking("http://maker:s3cret@127.0.0.1:1").text


def test_sqlite_store_is_read(tmp_path):
    path = tmp_path / "mlflow.db"
    assert check_tracking(f"sqlite:///{path}").text.endswith("created by the first run")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
    database.close()
    assert check_tracking(f"sqlite:///{path}").state == "ok"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    assert check_tracking(f"sqlite:///{path}").state == "bad"
    (tmp_path / "file").write_text("")
    assert check_tracking(f"sqlite:///{tmp_path}/file/mlflow.db").state == "bad"


def test_base_that_is_missing_or_cut_short_is_bad(tiny_base, tmp_path):
    assert doctor.check_shipped_base(tiny_base).state == "ok"
    assert doctor.check_shipped_base(tmp_path).state == "bad"
    for path in tiny_base.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert doctor.check_shipped_base(tmp_path).state == "bad"


def test_benchmark_data_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path))
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path / "chosen"))
    assert doctor.check_benchmarks().state == "warn"
    (tmp_path / "chosen").mkdir()
    assert str(tmp_path / "chosen") in doctor.check_benchmarks().text
