from __future__ import annotations

import os
import sys
import threading

import pytest

from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.pool import KeyPool


def test_a_full_pool_gives_what_it_made_ahead() -> None:
    with KeyPool(KeyKind.RSA_2048, 2) as pool:
        assert pool.wait_until_full(30)
        assert len(pool) == 2
        key = pool.take()
        assert keys.kind_of(key.public_key()) == "rsa-2048"
        assert pool.wait_until_full(30), "what was taken is made anew"


def test_the_pool_never_holds_more_than_its_size() -> None:
    with KeyPool(KeyKind.EC_P256, 3) as pool:
        for _ in range(50):
            assert pool.wait_until_full(10)
            assert len(pool) == 3
            pool.take()


def test_an_empty_pool_makes_a_key_on_the_spot() -> None:
    with KeyPool(KeyKind.EC_P256, 0) as pool:
        assert pool.take_ready() is None
        assert keys.kind_of(pool.take().public_key()) == "ec-p256"
        assert len(pool) == 0


def test_nobody_gets_the_same_key() -> None:
    taken: list[str] = []

    def take(pool: KeyPool) -> None:
        taken.extend(keys.public_key_fingerprint(pool.take().public_key()) for _ in range(100))

    with KeyPool(KeyKind.EC_P256, 10) as pool:
        threads = [threading.Thread(target=take, args=(pool,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(taken)) == 400


def test_a_closed_pool_forgets_its_keys_and_ends_its_thread() -> None:
    pool = KeyPool(KeyKind.EC_P256, 5)
    assert pool.wait_until_full(10)
    pool.close()
    pool.close()
    assert len(pool) == 0
    assert "keys-ec-p256" not in {thread.name for thread in threading.enumerate()}
    assert pool.take_ready() is None
    assert keys.kind_of(pool.take().public_key()) == "ec-p256"


def test_a_pool_can_be_closed_while_it_makes_a_key() -> None:
    pool = KeyPool(KeyKind.RSA_3072, 1)
    pool.close()
    assert len(pool) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux alone")
def test_the_thread_that_fills_stands_back_and_nobody_else_does() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with KeyPool(KeyKind.EC_P256, 1) as pool:
        assert pool.wait_until_full(10)
        thread = next(each for each in threading.enumerate() if each.name == "keys-ec-p256")
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == min(19, before + 10)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
