"""Between the cameras and the store: one lane per key, one layer of retries, one breaker for the store."""

from __future__ import annotations

from collections.abc import Callable

from cctv_images.clock import Clock
from cctv_images.publish.store import Publication, Receipt, Store


class Publisher:
    """on_sick(reason, detail) is called once when the store falls ill, on_well() once when it takes objects again."""

    def __init__(
        self, store: Store, clock: Clock, *, on_sick: Callable[[str, str], None], on_well: Callable[[], None]
    ) -> None:
        raise NotImplementedError

    async def put(self, camera_id: str, publication: Publication, deadline_s: float) -> Receipt:
        """Returns when the store has proven the object. deadline_s is in the clock's monotonic seconds.

        Raises StoreError; its reason is "superseded" where a newer object of the same key was put meanwhile.
        """
        raise NotImplementedError

    async def delete(self, camera_id: str, key: str, deadline_s: float) -> None:
        """Removes an object in its key's lane, so that no late put brings it back. Raises StoreError."""
        raise NotImplementedError

    async def swap(self, store: Store) -> None:
        """Uses another store (rotated credentials) from now on; the old one is closed after its last put."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
