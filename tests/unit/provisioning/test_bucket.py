from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate import config
from fleetgate.errors import InvalidRequest
from fleetgate.provisioning import bucket
from fleetgate.registry.tasks import Input


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Buckets, and beside them what nobody may read."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "buckets" / "factory" / "2026" / "march").mkdir(parents=True)
    (tmp_path / "buckets" / "factory" / "2026" / "march" / "lamps.json").write_text("{}\n")
    (tmp_path / "buckets" / "beside").write_text("no bucket")
    return tmp_path / "buckets"


def test_a_file_is_described_and_opened(folder: Path) -> None:
    source = bucket.look(folder, "factory", "2026/march/lamps.json")
    assert (source.bucket, source.key, source.size) == ("factory", "2026/march/lamps.json", 3)
    with bucket.reopen(folder, source) as file:
        assert file.read() == b"{}\n"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("..", "secret"),
        ("...", "secret"),
        ("factory", "../../secret"),
        ("factory", "2026/../../../secret"),
        ("factory", "/etc/passwd"),
        ("factory", "2026//march/lamps.json"),
        ("factory", "2026/march/lamps.json/"),
        ("factory", "./2026/march/lamps.json"),
        ("factory", "2026/march/lamps.json\0"),
        ("factory", "2026/march/lamps.json\n"),
        ("factory", "%2e%2e/secret"),
        ("factory", "2026\\march"),
        ("factory", ""),
        ("factory", "x" * 1025),
        ("factory/2026", "march/lamps.json"),
        ("fa", "x"),
        ("x" * 257, "x"),
        ("factory\n", "2026/march/lamps.json"),
    ],
)
def test_names_that_are_none(folder: Path, name: str, key: str) -> None:
    with pytest.raises(InvalidRequest, match="match"):
        bucket.look(folder, name, key)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("factory", "lamps.json"),
        ("unknown", "lamps.json"),
        ("beside", "lamps.json"),
        ("factory", "2026"),
        ("factory", "2026/march/lamps.json/more"),
        ("factory", "y" * 1000),
    ],
)
def test_files_that_are_none(folder: Path, name: str, key: str) -> None:
    with pytest.raises(InvalidRequest, match=r"no file|not a plain file"):
        bucket.look(folder, name, key)


def test_no_folder_of_buckets(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no file"):
        bucket.look(tmp_path / "none", "factory", "lamps.json")


def test_links_lead_nowhere(folder: Path) -> None:
    (folder / "factory" / "link").symlink_to(folder.parent / "secret")
    (folder / "linked").symlink_to(folder / "factory")
    (folder / "factory" / "up").symlink_to(folder.parent)
    for name, key in (("factory", "link"), ("linked", "2026/march/lamps.json"), ("factory", "up/secret")):
        with pytest.raises(InvalidRequest, match="symbolic links are not followed"):
            bucket.look(folder, name, key)


def test_a_pipe_makes_nobody_wait(folder: Path) -> None:
    os.mkfifo(folder / "factory" / "pipe")
    with pytest.raises(InvalidRequest, match="not a plain file"):
        bucket.look(folder, "factory", "pipe")


def test_a_changed_file_is_another(folder: Path) -> None:
    source = bucket.look(folder, "factory", "2026/march/lamps.json")
    with (folder / "factory" / "2026" / "march" / "lamps.json").open("a") as file:
        file.write("{}\n")
    with pytest.raises(InvalidRequest, match="was changed"):
        bucket.reopen(folder, source)
    with pytest.raises(InvalidRequest, match="was changed"):
        bucket.reopen(folder, Input("factory", "2026/march/lamps.json", 6, 0))


@given(st.text(max_size=40), st.text(max_size=60))
def test_no_name_opens_anything_else(name: str, key: str) -> None:
    with pytest.raises(InvalidRequest):
        bucket.look(Path("/"), f"{name}/..", key)


def test_where_buckets_are() -> None:
    at = config.load(None, {"server.data_dir": "/data"})
    assert bucket.root(at) == Path("/data/buckets")
    assert bucket.root(config.load(None, {"bulk.buckets": "/inputs"})) == Path("/inputs")


def test_an_account_has_buckets_of_its_own(folder: Path) -> None:
    own = folder / "123456789012" / "secret"
    own.mkdir(parents=True)
    (own / "lamps.json").write_text("{}")
    assert bucket.of_account(folder, "123456789012", "secret") == folder / "123456789012"
    assert bucket.of_account(folder, "210987654321", "secret") == folder
    assert bucket.of_account(folder, "123456789012", "factory") == folder
    with pytest.raises(InvalidRequest, match="no file"):
        bucket.look(folder, "secret", "lamps.json")
    with pytest.raises(InvalidRequest, match="is an account's"):
        bucket.look(folder, "123456789012", "secret/lamps.json")
