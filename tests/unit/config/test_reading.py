"""The configuration: what may stand in the file, and what its owner is told otherwise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate import config
from fleetgate.config import Config, FunctionConfig, load
from fleetgate.errors import ConfigInvalid


def written(folder: Path, text: str) -> Path:
    path = folder / "fleetgate.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigInvalid) as caught:
        load(written(folder, text))
    return caught.value.problems


def test_values_of_every_kind(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [server]
        data_dir = "/var/lib/fleetgate"
        [gateway]
        mqtt_port = 0
        endpoint_names = ["iot.example", "192.0.2.7", "2001:db8::1"]
        mqtt_rules = "standard"
        [api]
        clock_skew = "15m"
        tls_certificate = "api.pem"
        tls_key = "api.key"
        [database]
        url = "postgresql://fleetgate@db.example:5432/fleetgate"
        password_file = "secrets/db"
        [hooks]
        time_limit = "900ms"
        [hooks.functions.allow_list]
        file = "hooks/allow.py"
        handler = "decide"
        environment = { TABLE = "devices" }
        [hooks.functions.remote]
        url = "https://hooks.example/ask"
        ca_file = "ca.pem"
        """,
    )
    loaded = load(path)
    assert loaded.server.data_dir == Path("/var/lib/fleetgate")
    assert loaded.gateway.mqtt_port == 0
    assert loaded.gateway.endpoint_names == ("iot.example", "192.0.2.7", "2001:db8::1")
    assert loaded.gateway.mqtt_rules == "standard"
    assert loaded.api.clock_skew == 900_000
    assert loaded.database.password_file == Path("secrets/db")
    assert loaded.hooks.time_limit == 900
    assert loaded.hooks.functions == {
        "allow_list": FunctionConfig(file=Path("hooks/allow.py"), handler="decide", environment={"TABLE": "devices"}),
        "remote": FunctionConfig(url="https://hooks.example/ask", ca_file=Path("ca.pem")),
    }


def test_a_database_may_be_named_as_libpq_has_it(tmp_path: Path) -> None:
    url = "postgresql:///?host=/run/postgresql&dbname=fleetgate"
    assert load(written(tmp_path, f'[database]\nurl = "{url}"')).database.url == url


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[gateway]\nmqtt_port = 1\nhttps_port = 2\n")
    loaded = load(path, {"gateway.mqtt_port": 3, "log.level": "debug"})
    assert (loaded.gateway.mqtt_port, loaded.gateway.https_port, loaded.log.level) == (3, 2, "debug")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        """
        [gatway]
        [gateway]
        mqtt_prot = 1
        https_port = 65536
        [api]
        clock_skew = 5
        """,
    )
    assert told == (
        "gatway: there is no such section; did you mean gateway?",
        "gateway.mqtt_prot: there is no such setting; did you mean mqtt_port?",
        "gateway.https_port: expected a number from 0 to 65535, not 65536",
        'api.clock_skew: expected a duration such as "500ms", "5s", "10m", "1h" or "30d", not 5',
    )


def test_the_message_lists_the_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"(?s)cannot be used:\n- log\.level.*\n- log\.format"):
        load(written(tmp_path, '[log]\nlevel = "loud"\nformat = "xml"\n'))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server = 1", "server: expected a section, not 1"),
        ("[gateway]\nmqtt_port = true", "gateway.mqtt_port: expected a number from 0 to 65535, not True"),
        ('[gateway]\nmqtt_port = "1"', "gateway.mqtt_port: expected a number from 0 to 65535, not '1'"),
        ("[gateway]\nhost = 1", "gateway.host: expected a string, not 1"),
        ('[gateway]\nhost = "not a host"', "gateway.host: 'not a host' is no host name and no address"),
        ("[gateway]\nendpoint_names = []", "gateway.endpoint_names: expected a list of one or more strings, not []"),
        ('[gateway]\nendpoint_names = ["-a"]', "gateway.endpoint_names[0]: '-a' is no host name and no address"),
        ('[gateway]\nmqtt_rules = ["aws"]', """gateway.mqtt_rules: expected "aws" or "standard", not ['aws']"""),
        ('[server]\ndata_dir = ""', "server.data_dir: expected a path, not ''"),
        ('[api]\ntls_key = "k"', "api: tls_certificate and tls_key belong together; give both or neither"),
        ("[api]\nport = 8883", "api.port: port 8883 is taken by gateway.mqtt_port"),
        ("[hooks]\nfunctions = 1", "hooks.functions: expected a table, not 1"),
        ("[hooks.functions]\na = 1", "hooks.functions.a: expected a section, not 1"),
        ("[hooks.functions.a]", "hooks.functions.a: give either file or url"),
        (
            '[hooks.functions.a]\nfile = "f"\nenvironment = { A = 1 }',
            "hooks.functions.a.environment.A: expected a string, not 1",
        ),
        (
            '[hooks.functions.a]\nfile = "f"\nca_file = "c"',
            "hooks.functions.a: ca_file is for a url, not for a file",
        ),
        (
            '[hooks.functions.a]\nurl = "https://h"\nhandler = "x"',
            "hooks.functions.a: handler and environment are for a file, not for a url",
        ),
        (
            '[hooks.functions."a b"]\nfile = "f"',
            "hooks.functions.a b: The function name 'a b' does not match [a-zA-Z0-9_-]+.",
        ),
        (
            '[database]\nurl = "postgresql://u:secret@h/d"',
            "database.url: a password has no place here; put it into a file and name that as password_file",
        ),
        (
            '[database]\nurl = "postgresql://u@h/d?password=secret"',
            "database.url: a password has no place here; put it into a file and name that as password_file",
        ),
        (
            '[database]\nurl = "postgresql://u@h"',
            "database.url: the address names no database; write postgresql://USER@HOST:PORT/NAME",
        ),
        (
            '[database]\nurl = "mysql://h/d"',
            """database.url: expected "sqlite", "sqlite:///PATH" or "postgresql://...", not 'mysql://h/d'""",
        ),
        (
            '[database]\nurl = "sqlite:file.db"',
            """database.url: expected "sqlite", "sqlite:///PATH" or "postgresql://...", not 'sqlite:file.db'""",
        ),
        (
            '[nodes]\nbus = "b"\n[database]\nurl = "postgresql://h/d"',
            "nodes.bus: expected mqtt://HOST:PORT or mqtts://HOST:PORT, not 'b'",
        ),
        (
            '[nodes]\nbus = "mqtt://h:1883"',
            "nodes.bus: several nodes share a PostgreSQL database; give its address as database.url",
        ),
        (
            '[nodes]\nbus = "mqtts://h:8883"\nname = "a b"\n[database]\nurl = "postgresql://h/d"',
            "nodes.name: expected 1 to 64 letters, digits, dots, hyphens or underscores, not 'a b'",
        ),
        (
            '[nodes]\nbus = "mqtts://h:8883"\nusername = "u"\n[database]\nurl = "postgresql://h/d"',
            "nodes: username and password_file belong together; give both or neither",
        ),
        (
            '[database]\npassword_file = "p"',
            "database.password_file: SQLite has no password; the setting is for PostgreSQL",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    assert problems(tmp_path, text) == (told,)


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in str(problems(tmp_path, '[database]\nurl = "postgresql://u:hunter2@h/d"'))


def test_the_same_port_on_other_addresses_is_free(tmp_path: Path) -> None:
    assert load(written(tmp_path, '[api]\nhost = "127.0.0.2"\nport = 8883\n')).api.port == 8883


def test_any_free_port_for_every_door_is_no_clash() -> None:
    assert load(None, {"gateway.mqtt_port": 0, "gateway.https_port": 0, "api.port": 0}).api.port == 0


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"absent\.toml: No such file"):
        load(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"[server", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fleetgate.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="is not a TOML file"):
        load(path)


def test_an_override_below_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"log\.level\.x: level is no section"):
        load(written(tmp_path, '[log]\nlevel = "info"\n'), {"log.level.x": 1})


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("1ms", 1), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("30d", 2_592_000_000)]
)
def test_durations(text: str, milliseconds: int) -> None:
    assert load(None, {"api.clock_skew": text}).api.clock_skew == milliseconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "0s", "-1s", "1.5s", "5S", "1h30m", "٣s", "9999999999s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="expected a duration"):
        load(None, {"api.clock_skew": text})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
SETTINGS = [f"{one.name}.{two}" for one in dataclasses.fields(Config) for two in dir(getattr(Config(), one.name))]


@given(st.dictionaries(st.sampled_from(SETTINGS) | st.text(), VALUES, max_size=4))
def test_whatever_is_given_either_loads_or_is_refused(overrides: dict[str, Any]) -> None:
    try:
        loaded = load(None, overrides)
    except ConfigInvalid:
        return
    assert isinstance(loaded, Config)


@pytest.mark.parametrize("url", ["iot.example.com", "ftp://iot.example.com", "https://iot.example.com/?x", "https://"])
def test_a_public_url_is_an_address(url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"api\.public_url: expected an address"):
        config.load(None, {"api.public_url": url})
    assert config.load(None, {"api.public_url": "https://iot.example.com:8443/api"}).api.public_url


def test_an_s3_address_is_one_that_nobody_can_listen_in_on() -> None:
    for url in ("https://minio.example.com:9000", "http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9"):
        assert load(None, {"s3.endpoint": url, "s3.credentials_file": "keys"}).s3.endpoint == url
    for url in (
        "minio:9000",
        "http://minio.example.com",
        "https://u:p@minio.example.com",
        "https://h/path",
        "https://h?q",
    ):
        with pytest.raises(ConfigInvalid, match=r"s3\.endpoint: expected https://HOST"):
            load(None, {"s3.endpoint": url, "s3.credentials_file": "keys"})


def test_s3_settings_without_an_access_key_are_a_mistake() -> None:
    with pytest.raises(ConfigInvalid, match=r"s3\.credentials_file: without it S3 is not asked"):
        load(None, {"s3.region": "eu-west-1"})


def test_an_s3_region_is_a_name() -> None:
    with pytest.raises(ConfigInvalid, match=r"s3\.region: 'eu/west' is no region"):
        load(None, {"s3.region": "eu/west", "s3.credentials_file": "keys"})
