from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleetgate.errors import FunctionUnavailable
from fleetgate.names import Realm
from fleetgate.provisioning.function import FunctionSpec
from fleetgate.provisioning.function_pool import FunctionPool

HERE = Realm("123456789012", "us-east-1")
SAYS_WHO = "import os\ndef lambda_handler(e, c): return [e, os.getppid(), os.environ.get('TABLE')]\n"


async def test_a_function_keeps_its_process_while_it_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "who.py"
    file.write_text(SAYS_WHO)
    pool = FunctionPool()
    spec = FunctionSpec("who", HERE, file)
    changed = replace(spec, environment={"TABLE": "devices"})
    said = [await pool.get(each).invoke(1, "request") for each in (spec, spec, changed)]
    assert said[0] == said[1] != said[2]
    assert [each[2] for each in said] == [None, None, "devices"]
    assert pool.get(replace(spec, realm=Realm("210987654321", "us-east-1"))) is not pool.get(changed)
    await pool.close()
    await pool.close()


async def test_a_file_that_is_gone(tmp_path: Path) -> None:
    pool = FunctionPool()
    with pytest.raises(FunctionUnavailable, match=r"nowhere\.py"):
        await pool.get(FunctionSpec("who", HERE, tmp_path / "nowhere.py")).invoke(1, "request")
    await pool.close()
