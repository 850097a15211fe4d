"""The lines of a bulk file, some at a time and none longer than the limit, however large the file is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from fleetgate.errors import InvalidRequest
from fleetgate.template.problems import Problems
from fleetgate.template.source import read_object

LONGEST: Final = 256 * 1024
"""Bytes of a line, its end not counted (AWS's quota)."""
_MARK: Final = b"\xef\xbb\xbf"


class Readable(Protocol):
    """What is asked of a file."""

    def seek(self, position: int, /) -> object: ...
    def readline(self, most: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """Counts from 1, empty lines too."""
    position: int
    """Where it begins, in bytes from the beginning of the file."""
    content: bytes | None
    """Without its end; None for a line that is too long."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some lines, without the empty ones between them."""

    lines: tuple[Line, ...]
    last: int
    """The number of the last line that was read."""
    end: int
    """Where the next line begins."""


def read(file: Readable, last: int, position: int, most: int) -> Stretch:
    """The next lines after line *last*, up to *most* with content; none at the end of the file."""
    file.seek(position)
    lines: list[Line] = []
    while len(lines) < most:
        content, length = _line(file)
        if not length:
            break
        last += 1
        if content is None or content.strip(b" \t\r\n"):
            lines.append(Line(last, position, content))
        position += length
    return Stretch(tuple(lines), last, position)


def parameters(line: Line) -> dict[str, Any]:
    """The JSON object in *line*. Raises InvalidRequest with what is wrong."""
    if line.content is None:
        raise InvalidRequest(f"The line is longer than {LONGEST} bytes.")
    plain = line.content.removeprefix(_MARK) if line.number == 1 else line.content
    try:
        text = plain.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The line is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    problems = Problems("The line")
    found = read_object(text, "", problems)
    problems.throw(InvalidRequest)
    assert found is not None
    return found


def _line(file: Readable) -> tuple[bytes | None, int]:
    """The next line's content, None where it is too long, and how many bytes it takes; 0 at the end of the file."""
    raw = file.readline(LONGEST + 2)
    length = len(raw)
    content = raw.removesuffix(b"\n").removesuffix(b"\r")
    if len(content) <= LONGEST and (raw.endswith(b"\n") or length < LONGEST + 2):
        return content, length
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(LONGEST)
        length += len(raw)
    return None, length
