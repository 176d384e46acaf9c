import signal
import threading

import pytest

from caelab.experiments.interrupt import uninterrupted


def test_control_c_waits_until_the_block_has_ended() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []

    def work() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        done.append("too far")

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert done == ["whole"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_and_quiet_blocks_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        pass
    done = []

    def work() -> None:
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [before]
    assert signal.getsignal(signal.SIGINT) == before
