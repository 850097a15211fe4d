from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleetgate.database.limits import Limits
from fleetgate.database.open import open_database
from fleetgate.database.sqlite import PassingDatabase
from fleetgate.errors import Unavailable


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
async def test_a_path_and_an_address_of_sqlite(tmp_path: Path, form: str) -> None:
    database = open_database(form.format(tmp_path / "fleet.db"))
    assert (tmp_path / "fleet.db").exists()
    await database.close()


async def test_three_slashes_are_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = open_database("sqlite:///fleet.db")
    assert (tmp_path / "fleet.db").exists()
    await database.close()


@pytest.mark.parametrize("address", [":memory:", "sqlite:///:memory:"])
async def test_memory_is_a_folder_that_goes_when_the_database_does(address: str) -> None:
    database = open_database(address)
    assert isinstance(database, PassingDatabase)
    folder = Path(database._folder.name)
    await database.alter(lambda tx: tx.run("CREATE TABLE t (k TEXT)"))
    assert await database.glance(lambda tx: tx.rows("SELECT k FROM t")) == []
    assert folder.is_dir()
    await database.close()
    assert not folder.exists()


@pytest.mark.parametrize("address", ["mysql://host/name", "http://x", "sqlite://host/x"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(Unavailable, match=r"Give postgresql://host/name, sqlite:///file\.db"):
        open_database(address)


def test_an_address_that_postgresql_cannot_read_is_refused() -> None:
    with pytest.raises(Unavailable, match="address of PostgreSQL cannot be read"):
        open_database("postgresql://host/name?colour=red")


def test_a_server_that_is_not_there_is_told_after_the_patience(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="PostgreSQL cannot be reached"):
        open_database(f"postgresql:///x?host={tmp_path}", Limits(patience=100))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="directory must exist"):
        open_database(tmp_path / "none" / "fleet.db")


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"{tmp_path} cannot be opened: Is a directory"):
        open_database(tmp_path)


def test_a_failed_opening_leaves_no_file_open(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    file.write_bytes(b"certainly no database" * 1000)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(Unavailable, match="no SQLite database"):
            open_database(file)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_sqlite_does_not_wait_for_the_driver_of_postgresql(tmp_path: Path) -> None:
    script = f"""
import sys
from fleetgate.database.open import open_database
open_database({str(tmp_path / "fleet.db")!r})
assert "psycopg" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
