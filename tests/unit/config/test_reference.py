"""The example file and the reference page say what the dataclasses say."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

from fleetgate.config import Config, FunctionConfig, example, load
from fleetgate.config.reference import _settings, reference

ROOT = Path(__file__).parents[3]


def test_the_example_says_what_the_defaults_say(tmp_path: Path) -> None:
    file = tmp_path / "fleetgate.toml"
    file.write_text(example())
    assert load(file) == Config()


def test_the_example_is_complete() -> None:
    settings = {line.lstrip("# ").partition(" = ")[0] for line in example().splitlines() if " = " in line}
    rooms = [type(getattr(Config(), one.name)) for one in dataclasses.fields(Config)] + [FunctionConfig]
    assert settings == {one.name for room in rooms for one in dataclasses.fields(room)} - {"functions"}


def test_the_commented_lines_of_the_example_are_toml() -> None:
    bare = [line.removeprefix("# ") for line in example().splitlines()]
    document = tomllib.loads("\n".join(line for line in bare if " = " in line or line.startswith("[")))
    assert set(document["hooks"]["functions"]["NAME"]) == {one.name for one in dataclasses.fields(FunctionConfig)}


def test_every_setting_is_documented() -> None:
    for one in dataclasses.fields(Config):
        for name, _, _, text in _settings(type(getattr(Config(), one.name))):
            assert text.endswith("."), f"{one.name}.{name}"


def test_the_reference_page_is_made_from_the_source() -> None:
    page = ROOT / "docs" / "configuration.md"
    assert page.read_text() == reference(), "run: fleetgate config --reference > docs/configuration.md"
