import signal
import threading

import pytest

from caelab.interrupt import stop_requests, uninterrupted


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_and_the_second_insists(name: str) -> None:
    number = getattr(signal, name, signal.SIGTERM)  # Windows has no SIGHUP

    def insist(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, insist)
    try:
        with stop_requests() as stop:
            assert not stop.is_set()
            signal.raise_signal(number)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is insist
    finally:
        signal.signal(number, before)


def test_outside_the_main_thread_there_is_no_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with stop_requests() as stop:
            seen.append((stop.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_what_a_process_ignores_it_goes_on_ignoring() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_requests() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
