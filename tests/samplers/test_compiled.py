"""A compiled kernel takes the same steps as an eager one, whatever lies where in memory."""

import warnings

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import compiled as module
from fairway.samplers.compiled import Compiled
from fairway.samplers.driver import Fixed
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.nuts import NUTS
from fairway.samplers.target import Target, Tempered

TARGET = Target(lambda u: -0.25 * u.pow(4).sum(1), event=Event((2,)))


def run(kernel, n=40):
    rows = Rows(0, n, dtype=torch.float64)
    return MCMC(kernel, Fixed(5, 3)).run(TARGET, n, generator=rows)


@pytest.mark.parametrize("kernel", [HMC(0.2, leapfrogs=3, jitter=0), Langevin(0.1, metropolis=True)])
def test_the_same_chains_compiled(kernel):
    eager, fast = run(kernel), run(Compiled(kernel))
    torch.testing.assert_close(fast.samples, eager.samples, rtol=1e-9, atol=1e-9)
    assert fast.n_grad == eager.n_grad and fast.acceptance == pytest.approx(eager.acceptance)


def test_of_a_kernel_whose_steps_differ_only_the_density_is_compiled(monkeypatch):
    """Checked without a compiler: what is handed to it is the value with its gradient."""
    seen = []
    monkeypatch.setattr(module, "compiled", lambda function: seen.append(function) or function)
    for kernel in (HMC(0.2), NUTS(0.2)):
        torch.testing.assert_close(run(Compiled(kernel)).samples, run(kernel).samples)
    assert [f.__name__ for f in seen] == ["value_and_grad", "value_and_grad"]


def test_a_density_of_a_path_keeps_its_own_gradient(monkeypatch):
    """A tempered target gives value and gradient by parts; differentiating its value alone would miss one of them."""
    monkeypatch.setattr(module, "compiled", lambda function: function)
    target = Tempered(TARGET).at(torch.linspace(0, 1, 6, dtype=torch.float64))
    u = Rows(0, 6, dtype=torch.float64).normal(2)
    fast = module.with_gradient(target)
    torch.testing.assert_close(fast.value_and_grad(u), target.value_and_grad(u))
    index = torch.tensor([4, 1])
    torch.testing.assert_close(fast.chains(index).value_and_grad(u[index])[1], target.value_and_grad(u)[1][index])


def test_chains_lie_last_in_memory():
    u = Compiled(HMC()).lay_out(torch.zeros(7, 3))
    assert u.shape == (7, 3) and u.stride() == (1, 7)


def test_without_a_compiler_it_runs_eagerly_and_says_so(monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none():
        raise InvalidCxxCompiler()

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    kernel = HMC(0.2, leapfrogs=3, jitter=0)
    with pytest.warns(UserWarning, match="no C"):
        fast = run(Compiled(kernel))
    torch.testing.assert_close(fast.samples, run(kernel).samples)


def test_it_is_a_kernel_like_the_one_it_holds():
    kernel = HMC(0.2, leapfrogs=3)
    fast = Compiled(kernel)
    for name in ("coupled", "static", "step_size", "wanted_acceptance", "effective_temperature", "requires"):
        assert getattr(fast, name) == getattr(kernel, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fast.noise(TARGET) == kernel.noise(TARGET)
