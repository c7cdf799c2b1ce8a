"""After training, with averaged weights, every layer is of norm 1; classes are told apart."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.gan.biggan import BigGAN
from fairway.networks.spectral_layers import Spectral
from fairway.objectives.orthogonal import Orthogonal
from fairway.samplers.truncation import Truncated
from fairway.training.callbacks import Callback
from fairway.training.fit import fit

OPTIONS = {"latent": 4, "hidden": (8,), "batch_size": 32, "validation": 0, "seed": 0}


def corners(n=200):
    """(n, 8, 8): bright on the left in class 0, on the right in class 1."""
    label = torch.arange(n) % 2
    x = 0.1 * torch.rand(n, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.05
    x[label == 0, :, :4] += 0.8
    x[label == 1, :, 4:] += 0.8
    return x, label


class Last(Callback):
    """Keeps the run."""

    def on_end(self, run):
        self.run = run


@pytest.fixture(scope="module")
def fitted():
    x, label = corners()
    last = Last()
    return fit("biggan", x, context=label, steps=120, lr=2e-3, callbacks=[last], **OPTIONS), last.run.objective.critic


def norms(module):
    """Of the weights in use, by name."""
    return {
        name: float(torch.linalg.matrix_norm(part.scaled().detach().flatten(1).double(), 2))
        for name, part in module.named_modules()
        if isinstance(part, Spectral)
    }


def test_after_averaging_every_layer_has_norm_1(fitted):
    """The weights are the averaged ones, not those that the vectors followed in training."""
    model, critic = fitted
    for module in (model, critic.eval()):
        found = norms(module)
        assert len(found) >= 5 and all(norm == pytest.approx(1, rel=0.01) for norm in found.values()), found


def test_in_double_precision_and_back_from_a_folder_too(fitted, tmp_path):
    model, _ = fitted
    model.save(tmp_path)
    loaded = BigGAN.load(tmp_path)
    assert torch.equal(
        loaded.sample(4, context=torch.tensor(1), generator=0), model.sample(4, context=torch.tensor(1), generator=0)
    )
    assert all(norm == pytest.approx(1, rel=0.01) for norm in norms(loaded.double()).values())


def test_classes_are_told_apart(fitted):
    model, _ = fitted
    draws = model.sample(60, context=torch.tensor([0, 1]), generator=0)
    left, right = draws[..., :4].mean((1, 2, 3)), draws[..., 4:].mean((1, 2, 3))
    assert float(left[0] - right[0]) > 0.4 and float(right[1] - left[1]) > 0.4


def test_a_short_latent_varies_less(fitted):
    model, _ = fitted
    spreads = []
    for threshold in (0.05, float("inf")):
        draws = model.draw(200, context=torch.tensor(0), sampler=Truncated(threshold), generator=0)
        spreads.append(float(draws.samples.std(0).mean()))
    assert spreads[0] < 0.5 * spreads[1]


def test_without_classes():
    x, _ = corners()
    model = fit("biggan", x, steps=3, **OPTIONS)
    assert model.sample(3, generator=0).shape == (3, 8, 8) and model.network.embed is None


def test_preset_and_what_is_refused():
    model = BigGAN(Event((3, 32, 32), "integer", low=0, high=255))
    assert isinstance(model.default_objective(), Orthogonal) and model.optimisation.betas == (0.0, 0.999)
    assert model.network.squash and not BigGAN(Event((8, 8)), hidden=(4,)).network.squash
    with pytest.raises(ValueError, match="tables need an MLP"):
        BigGAN(Event((5,)))
    with pytest.raises(ValueError, match="pad or resize"):
        BigGAN(Event((9, 10)))
