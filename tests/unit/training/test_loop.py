"""What surrounds the steps; the steps themselves are tested by whole runs."""

import signal

import pytest
import torch

from bias_intervene.run.protocol import STOP_SIGNALS
from bias_intervene.training import loop


def test_nothing_is_compiled_for_an_optimizer_that_nobody_uses():
    torch_compile = torch.compile

    def plain() -> int:
        return 1

    with loop._compiling_nothing():
        assert torch.compile(plain) is plain
        assert torch.compile(backend="inductor", dynamic=False)(plain) is plain
    assert torch.compile is torch_compile


def test_compiling_is_given_back_after_an_error():
    torch_compile = torch.compile
    with pytest.raises(RuntimeError), loop._compiling_nothing():
        raise RuntimeError
    assert torch.compile is torch_compile


def test_a_stop_flag_remembers_the_signal():
    previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        stop = loop.StopFlag()
        assert stop.received is None
        signal.raise_signal(signal.SIGUSR1)
        assert stop.received == "SIGUSR1"
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
