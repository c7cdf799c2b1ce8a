"""Every schedule with every prediction says the same, and the same as the closed form."""

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.denoiser import solve
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.prediction import PREDICTIONS, edm, prediction_named
from fairway.models.diffusion.schedule import SCHEDULES, schedule_named

T = torch.linspace(1e-3, 1 - 1e-3, 60, dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_data_and_noise_come_back(schedule, prediction):
    schedule, rows = schedule_named(schedule), Rows(0, len(T), dtype=torch.float64)
    data, noise, level = rows.normal(3), rows.normal(3), schedule(T)
    p, q = pair = prediction_named(prediction)(schedule, T)
    y, u = (a[:, None] * data + b[:, None] * noise for a, b in ((p, q), level))
    found = solve(u, y, level, pair)
    torch.testing.assert_close(found[0], data, rtol=0, atol=1e-10)
    torch.testing.assert_close(found[1], noise, rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_predictions_give_one_score_and_one_velocity(schedule, mixture):
    rows = Rows(1, len(T), dtype=torch.float64)
    u, found = rows.normal(2), []
    for prediction in PREDICTIONS:
        model = MixtureDenoiser(*mixture, schedule=schedule, prediction=prediction).double()
        found.append((model._denoise(u, T), model._velocity(u, T), model._score_at(u, T)))
    for data, velocity, score in found[1:]:
        torch.testing.assert_close(data, found[0][0], rtol=0, atol=1e-10)
        torch.testing.assert_close(velocity, found[0][1], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(score, found[0][2], rtol=1e-8, atol=1e-8)


def test_edm_is_its_paper_s_preconditioning():
    """Karras et al. 2022, table 1, with data of scale 1: D = c_skip u + c_out F."""
    schedule, rows = schedule_named("edm"), Rows(2, len(T), dtype=torch.float64)
    sigma, data, noise = schedule(T)[1], rows.normal(), rows.normal()
    p, q = edm(schedule, T)
    f = p * data + q * noise
    skip, out = 1 / (1 + sigma**2), sigma / (1 + sigma**2).sqrt()
    torch.testing.assert_close(skip * (data + sigma * noise) + out * f, data, rtol=0, atol=1e-10)
    assert float(f.var()) == pytest.approx(1.0, abs=0.4)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="velocity"):
        prediction_named("epsilon")
