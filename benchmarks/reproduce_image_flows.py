"""Flows of images: bits per dimension on MNIST and Fashion-MNIST after 30 minutes of one core each, and their pictures.

real_nvp and glow on 28 x 28 grey levels 0..255 as published, nothing binarised. Grey levels are dequantised with
uniform noise, so a flow's density gives a lower bound on log P: bits per dimension are from above, on the official test
split, each image under two draws of the noise. Samples are drawn at temperature 0.7 and 1.0; pairs of test images are
joined by straight lines between their latents. A model is trained in its run folder runs/image_flows/DATA-MODEL-BUDGET:
killed and started again, it goes on. Models that were not trained are shown as "not run".

The published numbers are of the same test images under the same kind of bound, after days on GPUs: NICE, Dinh et al.
(2015), reports 1980.50 nats in units of the unit interval, which is 8 - 1980.50 / (784 log 2) = 4.36 bits.

Writes benchmarks/results/image_flows.json and docs/pictures/DATA_MODEL.png.

    python benchmarks/reproduce_image_flows.py                                       two hours on one core
    python benchmarks/reproduce_image_flows.py --data mnist --models glow --budget 2m
"""

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _rows import Clock, Rows, dataset, length, parser

import fairway as fw
from fairway.report.pictures import grid, png
from fairway.samplers.temperature import Temperature

NAME, DATA, MODELS, BUDGET = "image_flows", ("mnist", "fashion_mnist"), ("real_nvp", "glow"), "30m"
OPTIONS: dict[str, dict[str, Any]] = {"real_nvp": {}, "glow": {}, "nice": {}}
PUBLISHED = {
    "mnist": [
        {"name": "NICE", "bits": 4.36, "source": "Dinh et al. 2015 (1980.50 nats)"},
        {"name": "RealNVP", "bits": 1.06, "source": "Dinh et al. 2017, as in Song et al. 2019"},
        {"name": "Glow", "bits": 1.05, "source": "Kingma and Dhariwal 2018, as in Song et al. 2019"},
        {"name": "i-ResNet", "bits": 1.06, "source": "Behrmann et al. 2019"},
        {"name": "MintNet", "bits": 0.98, "source": "Song et al. 2019"},
    ],
    "fashion_mnist": [],
}
PICTURES, SIDE, LARGEST = Path(__file__).parents[1] / "docs" / "pictures", 6, 200_000
DRAWS_OF_NOISE, TEST_SEED = 2, 0


def trained(name: str, source: str, budget: str, data: Any) -> tuple[fw.Model, dict[str, Any]]:
    """One flow, from where an earlier run left off, and its row."""
    clock, folder = Clock(), Path("runs") / NAME / f"{source}-{name}-{budget}"
    model = fw.fit(name, data, **length(budget), seed=0, out=folder, resume=True, **OPTIONS.get(name, {}))
    found = fw.evaluate(model, data.test, samples=DRAWS_OF_NOISE, seed=TEST_SEED)
    row: dict[str, Any] = {"data": source, "model": name, "budget": budget, "bits": found.bits_per_dim}
    row |= {"error": found.bits_per_dim_error, "nats": found.nats, "relation": found.relation}
    row |= {"parameters": sum(p.numel() for p in model.parameters()), "steps": model.history.steps}
    row |= {"training_seconds": round(model.history.seconds, 1), **clock.read()}
    return model, row


def interpolated(model: fw.Model, images: torch.Tensor) -> torch.Tensor:
    """(2 n, h, w) -> (n SIDE, h, w): from each of n images to its partner along a straight line of latents."""
    first, last = model.encode(images).chunk(2)
    share = torch.linspace(0, 1, SIDE).reshape(1, SIDE, *(1 for _ in first.shape[1:]))
    return model.decode(torch.lerp(first[:, None], last[:, None], share).flatten(0, 1))


def picture(model: fw.Model, data: Any, path: Path) -> None:
    """Three grids side by side: samples at temperature 0.7, at 1.0, and interpolations, a pair to a row."""
    n = SIDE**2
    panels = [model.sample(n, sampler=Temperature(t), generator=0) for t in (0.7, 1.0)]
    panels.append(interpolated(model, data.test.x[: 2 * SIDE]))
    grids = [grid(panel.double().numpy(), 0.0, 255.0, columns=SIDE, rows=SIDE)[..., 0] for panel in panels]
    file = png(np.hstack(grids))
    if len(file) > LARGEST:
        raise ValueError(f"expected a picture of at most {LARGEST} bytes, got {len(file)}: draw fewer images")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file)


def report(rows: list[dict[str, Any]], names: list[str], models: list[str]) -> int:
    """Each model, run or not, beside the published; 1 if one is no better than uniform noise."""
    missed = 0
    for source in names:
        print(f"{source}, 28 x 28, bits per dimension of the test split (uniformly dequantised: from above):")
        for name in models:
            row = next((row for row in rows if (row["data"], row["model"]) == (source, name)), None)
            if row is None:
                print(f"     {name}: not run")
                continue
            text = f"{row['bits']:.3f} +- {row['error']:.3f} after {row['training_seconds'] / 60:.0f} minutes"
            print(f"{'ok  ' if row['bits'] < 8 else 'MISS'} {name}: {text}, {row['steps']:,} steps")
            missed |= not row["bits"] < 8
        for paper in PUBLISHED[source]:
            print(f"     {paper['name']}, published: {paper['bits']:.2f} ({paper['source']})")
    return missed


def main() -> int:
    """Train what is missing, draw, write, judge."""
    options = parser(__doc__, BUDGET)
    options.add_argument("--data", default=",".join(DATA))
    options.add_argument("--models", default=",".join(MODELS), help="nice, too")
    options.add_argument("--again", action="store_true", help="evaluate and draw models anew that have a row")
    asked = options.parse_args()
    torch.set_num_threads(1)
    names, models = asked.data.split(","), asked.models.split(",")
    rows = Rows(
        NAME,
        ("data", "model"),
        asked.record or asked.budget == BUDGET,
        published=PUBLISHED,
        draws_of_noise=DRAWS_OF_NOISE,
    )
    pictures = PICTURES if rows.recorded else Path("runs") / NAME
    for source, name in itertools.product(names, models):
        if asked.again or not rows.has(data=source, model=name):
            data = dataset(source)
            if data is None:
                continue
            model, row = trained(name, source, asked.budget, data)
            rows.put(row)
            picture(model, data, pictures / f"{source}_{name}.png")
    return report(rows.all(), names, models)


if __name__ == "__main__":
    sys.exit(main())
