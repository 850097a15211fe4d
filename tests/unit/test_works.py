"""Where the records are, and what it takes to open them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from fleetgate import config
from fleetgate.errors import Unavailable
from fleetgate.works import database_address

POSTGRES = "postgresql://fleet@db.example:5432/fleet"


def settings(**given: str) -> config.Config:
    return config.load(None, {name.replace("__", "."): value for name, value in given.items()})


def test_sqlite_is_in_the_data_directory() -> None:
    address = database_address(settings(server__data_dir="/var/lib/fleetgate"))
    assert address == "/var/lib/fleetgate/fleetgate.db"


@pytest.mark.parametrize("url", ["sqlite:////srv/other.db", POSTGRES])
def test_or_where_the_configuration_says(url: str) -> None:
    assert database_address(settings(database__url=url)) == url


@pytest.mark.parametrize(("url", "joint"), [(POSTGRES, "?"), (f"{POSTGRES}?sslmode=require", "&")])
def test_the_password_comes_from_its_file(tmp_path: Path, url: str, joint: str) -> None:
    file = tmp_path / "password"
    file.write_text("secret\nand what stands below\n")
    address = database_address(settings(database__url=url, database__password_file=str(file)))
    assert address == f"{url}{joint}password=secret"
    file.unlink()
    with pytest.raises(Unavailable, match="password file cannot be read"):
        database_address(settings(database__url=url, database__password_file=str(file)))


@pytest.mark.parametrize("password", ["s3cr3t%zzhunter2", "abc&sslmode=disable", "a b+c/d?e#f@g", "pässwört"])
def test_a_password_is_a_password_whatever_is_in_it(tmp_path: Path, password: str) -> None:
    """No part of it may become an option of the connection, or come back in an error about the address."""
    file = tmp_path / "password"
    file.write_text(password)
    url = "postgresql://me@db/fleet?sslmode=verify-full"
    address = database_address(settings(database__url=url, database__password_file=str(file)))
    assert conninfo_to_dict(address)["password"] == password
    assert conninfo_to_dict(address)["sslmode"] == "verify-full"


def test_an_installation_is_opened_without_the_doors() -> None:
    """Most of a short command's time is what it imports; servers' protocols and AWS's models are most of that."""
    script = "import sys; import fleetgate.cli.place, fleetgate.cli.thing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "fleetgate.works" in loaded
    assert not {"fleetgate.api", "fleetgate.gateway", "fleetgate.app", "uvicorn"} & loaded
