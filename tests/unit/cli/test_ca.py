from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.pki import TestAuthority

from fleetgate.config import load
from fleetgate.names import Realm
from fleetgate.registry import authorities
from fleetgate.works import works


def test_show(call: Any, tmp_path: Path) -> None:
    root, issuing = call("ca", "show", "--json").json
    assert (root["role"], issuing["role"]) == ("root", "issuing")
    assert root["key"] == "ec-p256"
    assert root["file"] == str(tmp_path / "fleetgate-data" / "ca" / "root.pem")
    assert issuing["not_after"] == "2049-12-31T23:59:59Z"
    assert root["subject"] in call("ca", "show").out


def test_export(call: Any, tmp_path: Path) -> None:
    root = call("ca", "export", "root").out
    assert root == (tmp_path / "fleetgate-data" / "ca" / "root.pem").read_text()
    chain = x509.load_pem_x509_certificates(call("ca", "export", "chain").out.encode())
    assert chain[0].issuer == chain[1].subject == chain[1].issuer
    assert call("ca", "export", "root", "--out", "trusted.pem").out == ""
    assert (tmp_path / "trusted.pem").read_text() == root


def test_nobody_registered_a_ca(call: Any) -> None:
    assert call("ca", "list", "--json").json == []
    assert call("ca", "list").err == "No registered CAs.\n"


def test_a_part_that_there_is_not(call: Any) -> None:
    call("ca", "export", "branch", status=2)


def test_a_registered_ca_is_listed_by_its_name(call: Any, tmp_path: Path) -> None:
    pem = TestAuthority("My CA").pem

    async def register() -> None:
        async with works(load(None, {"server.data_dir": str(tmp_path / "fleetgate-data")})) as opened:
            act = opened.runtime.act(Realm("123456789012", "us-east-1"), "test")
            kept: dict[str, Any] = {"subject": "00ff", "public_key_fingerprint": "k", "not_before": 0, "not_after": 1}
            await opened.runtime.write(lambda tx: authorities.create(tx, act, "a" * 64, pem, **kept))

    asyncio.run(register())
    (listed,) = call("ca", "list", "--json").json
    assert listed["subject"] == "CN=My CA"
    assert "CN=My CA" in call("ca", "list").out


@pytest.mark.parametrize("out", ["none/root.pem", "."])
def test_an_out_that_cannot_be_written_is_named(call: Any, out: str) -> None:
    said = call("ca", "export", "root", "--out", out, status=1).err
    assert re.search(rf"--out {re.escape(out)} cannot be written: .+\. Name a file", said)
