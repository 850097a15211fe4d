"""The configuration: one TOML file, one frozen dataclass per room. The line under a field is its documentation, from
which the example file and the reference page are made.

No field is needed to start. Secrets stand in files of their own (`*_file`), never in this one. Relative paths are
relative to the directory that the server is started in.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import ipaddress
import itertools
import re
import sys
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NewType, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs, urlsplit

from fleetgate import names
from fleetgate.errors import ConfigInvalid, InvalidRequest

Duration = NewType("Duration", int)
"""Milliseconds; in the file a number with its unit, such as "5s"."""

KeyKind = Literal["ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"]

_SECOND: Final = 1_000
_UNITS: Final = {"d": 86_400 * _SECOND, "h": 3_600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 1}
_SHOWN: Final = {Path: "/path/to/file", str: "..."}  # where there is no default to show
_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_PUBLIC_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


def _number(default: int, least: int, most: int) -> Any:
    return field(default=default, metadata={"least": least, "most": most})


def _port(default: int) -> Any:
    return _number(default, 0, 65_535)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What all rooms share."""

    data_dir: Path = Path("fleetgate-data")
    """Directory for everything the server keeps: its keys, and its database unless that is elsewhere."""


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Where the records are."""

    url: str = "sqlite"
    """`sqlite` for a file in data_dir, `sqlite:///PATH` for another file, or `postgresql://USER@HOST:PORT/NAME`."""
    password_file: Path | None = None
    """File that holds the PostgreSQL password on its first line."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The door for devices: MQTT and HTTPS, both with client certificates."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` or `::` for all."""
    mqtt_port: int = _port(8883)
    """MQTT over TLS; 0 takes any free port."""
    https_port: int = _port(8443)
    """HTTPS, and MQTT for clients that ask for it by ALPN; 0 takes any free port."""
    endpoint_names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    """Names and addresses that devices connect to, for the server's certificate; the first one is announced."""
    endpoint_suffix: str | None = None
    """Domain below which each account and region has a name of its own, ACCOUNT-REGION.SUFFIX; DNS needs a wildcard."""
    mqtt_rules: Literal["aws", "standard"] = "aws"
    """`aws` for the limits and reserved topics of AWS IoT Core, `standard` for those of the MQTT standard alone."""
    maximum_connections: int = _number(10_000, 1, 10_000_000)
    """Devices connected at the same time; one more is turned away before its TLS handshake."""
    just_in_time_rate: int = _number(100, 1, 1_000_000)
    """Certificates of one registered CA that may be presented for just-in-time registration in a second."""


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """The door for operators: the AWS-compatible API and the console."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = _port(8080)
    """Port to listen on; 0 takes any free port."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and its chain. Without one the API speaks plain HTTP, for loopback or a proxy."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    clock_skew: Duration = Duration(5 * 60 * _SECOND)
    """How far a request's signing time may be from the server's clock."""
    public_url: str | None = None
    """Address that links in answers begin with, behind a proxy; without one, the address that was asked."""


@dataclass(frozen=True, slots=True)
class AuthorityConfig:
    """The installation's own certificate authority."""

    ca_key: KeyKind = "ec-p256"
    """Kind of key made for the CA when the installation is set up."""
    device_key: KeyKind = "rsa-2048"
    """Kind of key made for devices that let the server make theirs."""
    passphrase_file: Path | None = None
    """File that holds the passphrase of the CA's keys on its first line; without one, one is made in data_dir."""
    key_pool: int = _number(64, 0, 10_000)
    """Device keys made ahead, so that a burst of devices does not wait for them."""
    profile: Literal["aws", "strict"] = "aws"
    """`aws` issues what AWS IoT would, good until the end of 2049; `strict` for client authentication and limited."""
    device_validity: Duration = Duration(365 * 86_400 * _SECOND)
    """How long a device certificate is good under `strict`; never longer than its CA's."""
    status_url: str | None = None
    """Address written into certificates as the place of revocation lists and OCSP; without one they say nothing."""
    crl_validity: Duration = Duration(7 * 86_400 * _SECOND)
    """How long a revocation list is good; a new one is made at half of it, and when a certificate is revoked."""
    ocsp_validity: Duration = Duration(3600 * _SECOND)
    """How long an OCSP answer is good."""


@dataclass(frozen=True, slots=True)
class ClaimsConfig:
    """Claim certificates: those that may only ask to be provisioned."""

    unregistered: Literal["refuse", "default-budget"] = "refuse"
    """What becomes of a claim that nobody gave a budget: refused, or granted the default one."""
    default_budget: int = _number(100, 1, 100_000_000)
    """Devices that one claim may provision under `default-budget`."""
    unprovisioned: int = _number(10_000, 1_000, 1_000_000)
    """Certificates that may wait to be provisioned for one claim: as many as its budget has left, at most this many."""


@dataclass(frozen=True, slots=True)
class BulkConfig:
    """Bulk registration: one device for each line of a file."""

    buckets: Path | None = None
    """Directory whose folders are the buckets that input files come from; without one, `buckets` in data_dir."""
    batch: int = _number(16, 1, 64)
    """Lines that are worked on at the same time; fewer leave more room for devices at the door."""


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """Who is asked under this name: a handler file (`file`) or an address (`url`)."""

    file: Path | None = None
    """Python file with an AWS-Lambda-style handler; it runs in processes of its own."""
    handler: str = "lambda_handler"
    """The function in the file, called with an event and a context."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the handler; it sees nothing of the server's."""
    url: str | None = None
    """Address that the question is posted to as JSON; https, or http on loopback."""
    ca_file: Path | None = None
    """PEM file with the CA certificates that vouch for the address; without one the system's are used."""


@dataclass(frozen=True, slots=True)
class HooksConfig:
    """Pre-provisioning hooks: who is asked before a device is provisioned."""

    time_limit: Duration = Duration(5 * _SECOND)
    """A hook that has not answered by then has denied; waiting for a place and importing its file count."""
    concurrency: int = _number(16, 1, 1_000)
    """Questions to one function at the same time."""
    functions: Mapping[str, FunctionConfig] = field(default_factory=dict)
    """The functions by name: a template's hook ARN ends in `:function:NAME`."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the server says while it runs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages to show."""
    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for machines: one object in a line."""


@dataclass(frozen=True, slots=True)
class Config:
    """One section per room."""

    server: ServerConfig = field(default_factory=ServerConfig)
    database: DatabaseConfig = field(default_factory=DatabaseConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    authority: AuthorityConfig = field(default_factory=AuthorityConfig)
    claims: ClaimsConfig = field(default_factory=ClaimsConfig)
    bulk: BulkConfig = field(default_factory=BulkConfig)
    hooks: HooksConfig = field(default_factory=HooksConfig)
    log: LogConfig = field(default_factory=LogConfig)


# --- loading ----------------------------------------------------------------------------------------------------------


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
    return Duration(int(match[1]) * _UNITS[match[2]])


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
    for name, function in config.hooks.functions.items():
        yield from _function(name, function)


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


# --- the example file and the reference page --------------------------------------------------------------------------


def example() -> str:
    """A complete TOML file that says what the defaults say, with every field's documentation above it."""
    lines = ["# Every setting with its default. Nothing here is needed to start; keep what you change."]
    for section in dataclasses.fields(Config):
        kind = _kind_of(section)
        lines += ["", *_comment(kind.__doc__), f"[{section.name}]"]
        tables = []
        for name, item, default, text in _settings(kind):
            if get_origin(item) is Mapping and dataclasses.is_dataclass(get_args(item)[1]):
                tables += ["", *_comment(text), *_example_table(f"{section.name}.{name}", get_args(item)[1])]
            else:
                lines += [*_comment(text), _assignment(name, item, default)]
        lines += tables
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The reference page in Markdown."""
    lines = ["# Configuration", "", *inspect.cleandoc(__doc__ or "").split("\n\n", 1)[1].splitlines(), ""]
    lines += ["`fleetgate config --example` prints a file with every default. This page is made from the same source."]
    for section in dataclasses.fields(Config):
        lines += _reference_table(section.name, _kind_of(section))
    return "\n".join(lines) + "\n"


def _reference_table(title: str, kind: Any) -> list[str]:
    lines = ["", f"## `[{title}]`", "", inspect.cleandoc(kind.__doc__), ""]
    lines += ["| setting | value | default | meaning |", "| --- | --- | --- | --- |"]
    tables = []
    for name, item, default, text in _settings(kind):
        if get_origin(item) is Mapping and dataclasses.is_dataclass(get_args(item)[1]):
            tables += _reference_table(f"{title}.{name}.NAME", get_args(item)[1])
        shown = "" if default is None else f"`{_toml(item, default)}`"
        lines.append(f"| `{name}` | {_called(item)} | {shown} | {text} |")
    return lines + tables


def _called(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(kind))
    if get_origin(kind) in {Union, types.UnionType}:
        return _called(get_args(kind)[0])
    plain = {Duration: "duration", int: "number", str: "string", Path: "path"}
    return plain.get(kind, "list of strings" if get_origin(kind) is tuple else "table")


def _kind_of(section: dataclasses.Field[Any]) -> Any:
    return get_type_hints(Config)[section.name]


def _settings(kind: Any) -> Iterator[tuple[str, Any, Any, str]]:
    """Name, type, default and documentation of each field."""
    hints, texts = get_type_hints(kind), _texts(kind)
    for one in dataclasses.fields(kind):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        yield one.name, hints[one.name], default, texts[one.name]


def _texts(kind: Any) -> dict[str, str]:
    """The string under each field, which exists in the source only."""
    tree = ast.parse(inspect.getsource(sys.modules[__name__]))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found = {}
    for one, after in itertools.pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(after, ast.Expr):
            found[one.target.id] = ast.literal_eval(after.value)
    return found


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in inspect.cleandoc(text).splitlines()]


def _assignment(name: str, kind: Any, default: Any) -> str:
    if default is None:
        return f'# {name} = "{_SHOWN[get_args(kind)[0]]}"'
    return f"{name} = {_toml(kind, default)}"


def _example_table(title: str, kind: Any) -> list[str]:
    lines = [f"[{title}.NAME]"]
    for name, item, default, text in _settings(kind):
        lines += [*_comment(text), _assignment(name, item, default).removeprefix("# ")]
    return [f"# {line}" for line in lines]


def _toml(kind: Any, value: Any) -> str:
    if kind is Duration:
        unit = next(unit for unit, size in _UNITS.items() if value % size == 0)
        return f'"{value // _UNITS[unit]}{unit}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(str, one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{}"
    return str(value) if isinstance(value, int) else f'"{value}"'
