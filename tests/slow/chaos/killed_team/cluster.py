"""A PostgreSQL server that can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import POSTGRES_PASSWORD, postgres_program, postgres_user
from tests.fixtures.ports import free_ports

NAME = "mirror"
START_SECONDS = 60


class Cluster:
    """One server with the database `mirror`, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        """Create the cluster in a folder, without starting it."""
        self.folder, self.data = folder, folder / "data"
        self.user: dict[str, Any] = postgres_user(folder)
        [self.port] = free_ports(1)
        password = folder / "password"
        password.write_text(POSTGRES_PASSWORD)
        password.chmod(0o644)
        options = ["-U", NAME, f"--pwfile={password}", "-A", "scram-sha-256", "--no-sync"]
        self._run(postgres_program("initdb"), "-D", str(self.data), *options)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        """The server's address with password."""
        return f"postgresql://{NAME}:{POSTGRES_PASSWORD}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers queries."""
        # Bytes that a killed process wrote stay; only a machine that loses power needs fsync.
        options = ["-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1", "-F"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [postgres_program("postgres"), "-D", str(self.data), *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self.user,
            )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2_000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill all its processes at once."""
        assert self.process is not None
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                os.kill(one.pid, signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(family, 10)
        self.process = None

    def make_database(self) -> None:
        """Create the database of the address."""
        import psycopg

        with psycopg.connect(f"{self.server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {NAME}")

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError), psycopg.connect(f"{self.server}/postgres"):
            return True
        return False

    def _run(self, *command: str) -> None:
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **self.user)
