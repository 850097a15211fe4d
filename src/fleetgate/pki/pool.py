"""Key pairs made ahead, so that a device asking for one does not wait for RSA."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from types import TracebackType
from typing import Self

from fleetgate.pki.keys import KeyKind, PrivateKey, generate

_NICE = 10


class KeyPool:
    """Up to *size* unused key pairs of one kind, refilled by a background thread. They live in memory alone: nothing is
    written down, and what is left at `close` is forgotten.
    """

    def __init__(self, kind: KeyKind, size: int) -> None:
        """Starts filling at once."""
        self.kind = kind
        self.size = size
        self._ready: deque[PrivateKey] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._fill, name=f"keys-{kind}", daemon=True)
        self._thread.start()

    def take(self) -> PrivateKey:
        """A key pair that nobody else gets: from the pool, or made on the spot when that is empty or closed."""
        return self.take_ready() or generate(self.kind)

    def take_ready(self) -> PrivateKey | None:
        """As `take`, but None when the pool is empty: for an event loop, which makes the key on a thread then."""
        with self._changed:
            if not self._ready:
                return None
            self._changed.notify_all()
            return self._ready.popleft()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._ready)

    def wait_until_full(self, timeout: float) -> bool:
        """Whether the pool was full within *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._ready) >= self.size, timeout)

    def close(self) -> None:
        """Stops the thread after the key pair it is making and forgets the rest. May be called again."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self) -> None:
        # The processor time that nobody else wants: a server's start, and a burst of devices, come first. On Linux nice
        # is a thread's own; elsewhere it would be the whole process's.
        if sys.platform == "linux":
            os.nice(_NICE)
        while self._wait_for_room():
            key = generate(self.kind)
            with self._changed:
                if not self._closed:
                    self._ready.append(key)
                    self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        """False once the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self.size)
            return not self._closed
