"""Texture synthesis by FRAME (Zhu, Wu & Mumford 1998, section 6): learn the filter responses of one texture, draw more.

Two textures: leaves, a piece of a photograph that ships with scikit-learn ("china.jpg"), in grey; and stripes, noise of
one direction and wavelength, bent and blurred by its bandwidth. What is learned from are crops of 32 x 32 pixels; draws
go on from chains that started as white noise, and never at the texture.

Writes benchmarks/results/texture.json and docs/pictures/texture.png (observed above, drawn below); exits 1 if a mean
response of crops and draws, all between 0 and 1, differs by more than 0.02. After 450 steps leaves were at 0.066.

    OMP_NUM_THREADS=1 python benchmarks/reproduce_texture.py        about eleven minutes on one core
"""

import sys
import time
from pathlib import Path

import _record
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image

from fairway.core.random import Rows
from fairway.training.fit import fit

SIZE, CROPS, STEPS, SHOWN = 32, 500, 1200, 7
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "texture.png"


def leaves() -> torch.Tensor:
    """(80, 150) grey levels."""
    photograph = torch.tensor(load_sample_image("china.jpg").copy(), dtype=torch.float64)
    return photograph[345:425, 400:550].mean(2)


def stripes(size: int = 160) -> torch.Tensor:
    """(size, size): a narrow band of frequencies around one, saturated, with a little white noise."""
    generator = torch.Generator().manual_seed(0)
    noise, grain = torch.randn(2, size, size, generator=generator, dtype=torch.float64)
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    fy, fx = torch.meshgrid(frequency, frequency, indexing="ij")
    squares = [((fx - sign * 0.13).square() + (fy - sign * 0.09).square()) / 0.022**2 for sign in (1, -1)]
    band = torch.fft.ifft2(torch.fft.fft2(noise) * sum(torch.exp(-s / 2) for s in squares)).real
    return torch.tanh(3 * band / band.std()) + 0.15 * grain


def crops(texture: torch.Tensor) -> torch.Tensor:
    """(CROPS, SIZE, SIZE) at places chosen at random."""
    rows = Rows(0, CROPS)
    places = [rows.integers(side - SIZE + 1).tolist() for side in texture.shape]
    return torch.stack([texture[y : y + SIZE, x : x + SIZE] for y, x in zip(*places, strict=True)])


def learned(texture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, float]]:
    """Crops, draws, and how far their mean responses are apart."""
    began, x = time.process_time(), crops(texture)
    model = fit("frame", x, steps=STEPS, batch_size=16, lr=0.05, seed=0, progress=False)
    draws = model.sample(96, generator=0)
    gap = (model.responses(x).mean(0) - model.responses(draws).mean(0)).abs()
    numbers = {"statistics": len(gap), "largest_gap": float(gap.max()), "mean_gap": float(gap.mean())}
    return x, draws, {**numbers, "cpu_seconds": round(time.process_time() - began, 1)}


def picture(rows: list[torch.Tensor], names: list[str]) -> None:
    """A row of crops above a row of draws, texture by texture, on the same grey scale."""
    figure, axes = plt.subplots(len(rows), SHOWN, figsize=(SHOWN * 1.15, len(rows) * 1.15), dpi=80)
    for i, (line, name) in enumerate(zip(axes, names, strict=True)):
        low, high = rows[i - i % 2].flatten().quantile(torch.tensor([0.005, 0.995], dtype=torch.float64)).tolist()
        for axis, image in zip(line, rows[i], strict=False):
            axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8)
    figure.tight_layout(pad=0.3)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)


def main() -> int:
    """Learn both, write, judge."""
    torch.set_num_threads(1)
    began, found, rows, names = time.perf_counter(), {}, [], []
    for name, make in (("leaves", leaves), ("stripes", stripes)):
        x, draws, found[name] = learned(make())
        rows += [x[:SHOWN], draws[:SHOWN]]
        names += [f"{name}\nobserved", f"{name}\ndrawn"]
        print(name, found[name], flush=True)
    picture(rows, names)
    _record.write("texture", began, {"rows": found})
    return int(any(row["largest_gap"] > 0.02 for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
