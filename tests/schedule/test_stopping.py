"""Signals while a run works."""

import os
import signal
import threading
import time

import pytest

from pipeline.schedule.stopping import heard_signals, stops_at


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_in_order_the_second_at_once(number: signal.Signals) -> None:
    before, heard = signal.getsignal(number), list[str]()
    with pytest.raises(KeyboardInterrupt), heard_signals(heard.append):
        os.kill(os.getpid(), number)
        assert heard == [number.name]
        os.kill(os.getpid(), number)
    assert heard == [number.name]
    assert signal.getsignal(number) is before


def test_windows_own_signal_stops_in_order_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_in = signal.SIGUSR1
    monkeypatch.setattr(signal, "SIGBREAK", stands_in, raising=False)
    heard = list[str]()
    with heard_signals(heard.append):
        os.kill(os.getpid(), stands_in)
    assert heard == [stands_in.name]


def test_in_a_helper_thread_signals_are_left_alone() -> None:
    ran = []

    def body() -> None:
        with heard_signals(lambda name: None):
            ran.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert ran == [before]


def test_a_time_that_has_come_stops_in_order() -> None:
    heard, told = list[str](), threading.Event()
    with stops_at(time.monotonic() + 0.05, lambda why: (heard.append(why), told.set())):
        assert told.wait(30)
    assert heard == ["the time is up"]


def test_a_run_that_ends_before_its_time_is_not_stopped() -> None:
    heard: list[str] = []
    with stops_at(time.monotonic() + 0.2, heard.append), stops_at(None, heard.append):
        pass
    time.sleep(0.4)
    assert heard == []
