"""From a TOML file to a `Config`: every problem at once."""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs, urlsplit

from fleetgate import names
from fleetgate.config.sections import UNITS, Config, DatabaseConfig, Duration, FunctionConfig, NodesConfig, S3Config
from fleetgate.errors import ConfigInvalid, InvalidRequest

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_BUS: Final = re.compile(r"mqtts?://[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}")
_NODE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration in the TOML file *path* (None: the defaults) with *overrides* on top.

    Overrides go by dotted name and take the values a TOML file would: `{"gateway.mqtt_port": 0}`.
    Raises ConfigInvalid with every problem.
    """
    problems: list[str] = []
    document = _parse(path) if path is not None else {}
    for name, value in (overrides or {}).items():
        _put(document, name, value, problems)
    config = _read(Config, document, "", problems)
    if not problems:
        problems = list(_contradictions(config))
    if problems:
        raise ConfigInvalid(problems)
    return config  # type: ignore[no-any-return] # _read makes what it is asked for


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid([f"{path}: {error.strerror}"]) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both one
        raise ConfigInvalid([f"{path} is not a TOML file: {error}"]) from error


def _put(document: dict[str, Any], name: str, value: Any, problems: list[str]) -> None:
    *sections, last = name.split(".")
    inner: Any = document
    for section in sections:
        inner = inner.setdefault(section, {})
        if not isinstance(inner, dict):
            problems.append(f"{name}: {section} is no section")
            return
    inner[last] = value


class _Unusable(Exception):
    """What is expected in place of a value."""


def _read(kind: Any, value: Any, path: str, problems: list[str], bounds: Mapping[str, int] | None = None) -> Any:
    """*value* as a *kind*; what is wrong goes to *problems*, and then the result means nothing."""
    if dataclasses.is_dataclass(kind):
        return _read_section(kind, value, path, problems)
    if get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            problems.append(f"{path}: expected a table, not {value!r}")
            return {}
        item = get_args(kind)[1]
        return {name: _read(item, one, f"{path}.{name}", problems) for name, one in value.items()}
    try:
        return _scalar(kind, value, bounds or {})
    except _Unusable as expected:
        problems.append(f"{path}: expected {expected}, not {value!r}")
        return None


def _read_section(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        problems.append(f"{path}: expected a section, not {value!r}")
        return None
    hints = get_type_hints(kind)
    known = {one.name: one for one in dataclasses.fields(kind)}
    given = {}
    for name, one in value.items():
        where = f"{path}.{name}" if path else name
        if name in known:
            given[name] = _read(hints[name], one, where, problems, known[name].metadata)
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            problems.append(f"{where}: there is no such {'setting' if path else 'section'}; did you mean {near[0]}?")
    return kind(**given)


def _scalar(kind: Any, value: Any, bounds: Mapping[str, int]) -> Any:
    if get_origin(kind) in {Union, types.UnionType}:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if kind is Duration:
        return _duration(value)
    if kind is int:
        if type(value) is not int or not bounds["least"] <= value <= bounds["most"]:
            raise _Unusable(f"a number from {bounds['least']} to {bounds['most']}")
    elif get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise _Unusable(" or ".join(f'"{one}"' for one in get_args(kind)))
    elif get_origin(kind) is tuple:
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            raise _Unusable("a list of one or more strings")
        return tuple(value)
    elif not isinstance(value, str) or not value:
        raise _Unusable("a path" if kind is Path else "a string")
    elif kind is Path:
        return Path(value)
    return value


def _duration(value: Any) -> Duration:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise _Unusable('a duration such as "500ms", "5s", "10m", "1h" or "30d"')
    return Duration(int(match[1]) * UNITS[match[2]])


# --- what no field can see by itself ----------------------------------------------------------------------------------


def _contradictions(config: Config) -> Iterator[str]:
    yield from _database(config.database)
    yield from _addresses(config)
    if config.api.public_url is not None and not _PUBLIC_URL.fullmatch(config.api.public_url):
        yield f"api.public_url: expected an address such as https://iot.example.com, not {config.api.public_url!r}"
    if config.authority.status_url is not None and not _PUBLIC_URL.fullmatch(config.authority.status_url):
        yield f"authority.status_url: expected such as http://pki.example.com, not {config.authority.status_url!r}"
    if (config.api.tls_certificate is None) != (config.api.tls_key is None):
        yield "api: tls_certificate and tls_key belong together; give both or neither"
    yield from _s3(config.s3)
    for name, function in config.hooks.functions.items():
        yield from _function(name, function)
    if config.nodes.bus is not None:
        yield from _nodes(config.nodes, config.database)


def _nodes(nodes: NodesConfig, database: DatabaseConfig) -> Iterator[str]:
    if not _BUS.fullmatch(nodes.bus or ""):
        yield f"nodes.bus: expected mqtt://HOST:PORT or mqtts://HOST:PORT, not {nodes.bus!r}"
    if not database.url.startswith(("postgresql://", "postgres://")):
        yield "nodes.bus: several nodes share a PostgreSQL database; give its address as database.url"
    if nodes.name is not None and not _NODE.fullmatch(nodes.name):
        yield f"nodes.name: expected 1 to 64 letters, digits, dots, hyphens or underscores, not {nodes.name!r}"
    if (nodes.username is None) != (nodes.password_file is None):
        yield "nodes: username and password_file belong together; give both or neither"


def _database(database: DatabaseConfig) -> Iterator[str]:
    parts = urlsplit(database.url)
    settings = parse_qs(parts.query)  # libpq takes every setting there as well, such as the folder of a Unix socket
    if parts.password is not None or "password" in settings:
        yield "database.url: a password has no place here; put it into a file and name that as password_file"
    elif parts.scheme in {"postgresql", "postgres"}:
        if not parts.path.strip("/") and "dbname" not in settings:
            yield "database.url: the address names no database; write postgresql://USER@HOST:PORT/NAME"
    elif database.url != "sqlite" and not re.fullmatch(r"sqlite:///.+", database.url):
        yield f'database.url: expected "sqlite", "sqlite:///PATH" or "postgresql://...", not {database.url!r}'
    elif database.password_file is not None:
        yield "database.password_file: SQLite has no password; the setting is for PostgreSQL"


def _addresses(config: Config) -> Iterator[str]:
    hosts = {"gateway.host": config.gateway.host, "api.host": config.api.host}
    hosts |= {f"gateway.endpoint_names[{at}]": name for at, name in enumerate(config.gateway.endpoint_names)}
    suffix = config.gateway.endpoint_suffix
    if suffix is not None and not names.is_name("domain", suffix.lower()):
        yield f"gateway.endpoint_suffix: {suffix!r} is no domain with a dot in it, such as iot.example.com"
    yield from (f"{where}: {host!r} is no host name and no address" for where, host in hosts.items() if not _host(host))
    taken: dict[tuple[str, int], str] = {}
    doors = [("gateway", "mqtt_port"), ("gateway", "https_port"), ("api", "port")]
    for section, name in doors:
        room = getattr(config, section)
        address, this = (room.host, getattr(room, name)), f"{section}.{name}"
        if address[1] and taken.setdefault(address, this) != this:
            yield f"{this}: port {address[1]} is taken by {taken[address]}"


def _host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and _HOST.fullmatch(text) is not None
    return True


def _s3(s3: S3Config) -> Iterator[str]:
    if s3.credentials_file is None and s3 != S3Config():
        yield "s3.credentials_file: without it S3 is not asked, and the other settings mean nothing"
    if not _LABEL.fullmatch(s3.region):
        yield f"s3.region: {s3.region!r} is no region, such as us-east-1"
    if s3.endpoint is not None and not _is_endpoint(s3.endpoint):
        yield f"s3.endpoint: expected https://HOST or https://HOST:PORT (http:// on loopback), not {s3.endpoint!r}"


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment or not _host(host):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _function(name: str, function: FunctionConfig) -> Iterator[str]:
    where = f"hooks.functions.{name}"
    try:
        names.check("function", name)
    except InvalidRequest as error:
        yield f"{where}: {error.message}"
    if (function.file is None) == (function.url is None):
        yield f"{where}: give either file or url"
    elif function.file is None and (function.environment or function.handler != FunctionConfig().handler):
        yield f"{where}: handler and environment are for a file, not for a url"
    elif function.url is None and function.ca_file is not None:
        yield f"{where}: ca_file is for a url, not for a file"
