from __future__ import annotations

from pathlib import Path

import pytest

from fleetgate.database.migrate import load, migrate
from fleetgate.database.open import open_database
from fleetgate.errors import Unavailable


def test_load_reads_the_files_by_number(tmp_path: Path) -> None:
    for name in ("0002_b.sql", "0001_a_1.sql", "notes.txt"):
        (tmp_path / name).write_text(name)
    assert [(m.version, m.name, m.script) for m in load(tmp_path)] == [
        (1, "a_1", "0001_a_1.sql"),
        (2, "b", "0002_b.sql"),
    ]
    assert len({m.checksum for m in load(tmp_path)}) == 2


def test_load_names_every_file_that_is_wrong(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0003_c.sql", "0003_d.sql", "4_e.sql", "0005_F.sql"):
        (tmp_path / name).write_text("")
    with pytest.raises(Unavailable) as caught:
        load(tmp_path)
    assert [line for line in caught.value.message.splitlines() if line.startswith("- ")] == [
        "- 0005_F.sql is not named like 0001_name.sql.",
        "- 4_e.sql is not named like 0001_name.sql.",
        "- 0003_c.sql stands where number 0002 must be.",
    ]


async def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    files = [tmp_path / f"000{n}_{name}.sql" for n, name in enumerate("abc", start=1)]
    for file in files:
        file.write_text("SELECT 1")
    database = open_database(":memory:")
    await migrate(database, 1, tmp_path)
    files[0].write_text("SELECT 2")
    files[2].unlink()

    with pytest.raises(Unavailable) as caught:
        await migrate(database, 2, tmp_path)
    assert "0001_a.sql is not the one" in caught.value.message
    assert "0003_c, which this program does not know" in caught.value.message
    await database.close()
    with pytest.raises(Unavailable, match="closed"):
        await migrate(database, 3, tmp_path)
