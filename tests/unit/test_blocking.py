"""The library's own loops: one each, whoever asks first."""

import asyncio
import threading

from toolrm_guard import blocking


def test_threads_that_come_at_once_get_one_loop() -> None:
    for number in range(20):
        together, got = threading.Barrier(6), list[asyncio.AbstractEventLoop]()

        def come(name: str, together: threading.Barrier, got: list[object]) -> None:
            together.wait()
            got.append(blocking._loop(name))

        arguments = (f"test-{number}", together, got)
        threads = [threading.Thread(target=come, args=arguments) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for loop in set(got):
            loop.call_soon_threadsafe(loop.stop)
        assert len(set(got)) == 1
