from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509


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
