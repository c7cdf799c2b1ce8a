"""Adversarial models on images, some 20 minutes of one core each, judged by a classifier that none of them has seen.

    fashion_mnist-dcgan, -r3gan    Fréchet distance of 2,500 draws to 5,000 test images in the last hidden layer of a
                                   small classifier (trained on the training labels, seed 0), beside fresh images,
                                   training images and a Gaussian; density and coverage
    fashion_mnist-cgan             the same, and the share of draws that another classifier, trained for longer, sees as
                                   the class that was asked for, beside the share of test images
    fashion_mnist-biggan           precision, recall and the variance of the input at several truncations
    mnist-bigan                    share of test digits whose nearest training digit by the encoding is of their class,
                                   beside that by the pixels; 40 minutes
    usps-cycle_gan                 MNIST made into USPS and back, unpaired: the share that classifiers of the other side
                                   still see as the digit that it was
    facades-pix2pix                photographs from label maps, 64 pixels, moved and mirrored: mean absolute error on
                                   the test split, in [-1, 1] units, beside that of the mean photograph
    crawl_tiles-progan             32 x 32 sprites: Fréchet distance in the pixels' first 64 components, beside fresh

The classifier's features are its own: no figure here is an FID. Steps are fixed; what they took is in the row.

Writes benchmarks/results/image_gans.json and docs/pictures/DATA_MODEL.png. Killed and started again, it goes on.

    python benchmarks/reproduce_image_gans.py                                        two hours on one core
    python benchmarks/reproduce_image_gans.py --jobs fashion_mnist-cgan --steps 300   a taste
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _judge import Judge
from _rows import Clock, Row, Rows, dataset
from torch import Tensor

import fairway as fw
from fairway.metrics.features.classifier import trained_on
from fairway.metrics.features.frechet import frechet
from fairway.metrics.features.neighbours import density_coverage, nearest, precision_recall
from fairway.report.pictures import grid, png
from fairway.samplers.truncation import Truncated, variance

NAME, PICTURES, LARGEST = "image_gans", Path(__file__).parents[1] / "docs" / "pictures", 200_000
STEPS = {
    "fashion_mnist-dcgan": 7_000, "fashion_mnist-r3gan": 7_000, "fashion_mnist-cgan": 8_000,
    "fashion_mnist-biggan": 4_000, "mnist-bigan": 12_000, "usps-cycle_gan": 3_600, "facades-pix2pix": 6_000,
    "crawl_tiles-progan": 7_000,
}  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {  # what twenty minutes of a core can carry
    "facades-pix2pix": {"batch_size": 4, "lr": 5e-4, "hidden": (32, 64, 128)},  # more learns 400 facades by heart
    "usps-cycle_gan": {"batch_size": 4, "lr": 5e-4},
    "fashion_mnist-biggan": {"batch_size": 32, "hidden": (48, 24)},
    "crawl_tiles-progan": {"batch_size": 16, "hidden": (96, 64, 32, 16), "grow": 1200},
}
DRAWS, COLUMNS, THRESHOLDS, COMPONENTS = 2500, 10, (0.25, 0.5, 1.0, 1.5, 2.0, None), 64
JITTER, COPIES = 8, 24  # pixels that a facade may be moved by, and how often it is


def trained(job: str, steps: int, x: Any, context: Any = None, **options: Any) -> tuple[fw.Model, Row]:
    """The model of one job, from where an earlier run left off, and what its row says of the fit."""
    data, _, name = job.partition("-")
    clock = Clock()
    model = fw.fit(
        name, x, steps=steps, seed=0, compile="off", out=Path("runs") / NAME / f"{job}-{steps}", resume=True,
        context=context, **SMALL.get(job, {}), **options,
    )  # fmt: skip
    row: Row = {"data": data, "model": name, "steps": model.history.steps, "precision": str(model.history.precision)}
    row |= {"parameters": sum(p.numel() for p in model.parameters())}
    return model, row | {"training_seconds": round(model.history.seconds, 1), "last_fit": clock.read()}


def show(images: Tensor, path: Path, columns: int = COLUMNS) -> None:
    """Images (n, H, W) or (n, 3, H, W) of levels 0..255 as one picture."""
    rows = -(-len(images) // columns)
    file = png(grid(images.double().numpy(), 0.0, 255.0, columns=columns, rows=rows))
    if len(file) > LARGEST:
        raise ValueError(f"expected a picture of at most {LARGEST} bytes, got {len(file)}: draw fewer images")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file)


def judged(job: str, steps: int, path: Path) -> Row:
    """Draws of a model of all garments, or of each class."""
    data = dataset(job.partition("-")[0])
    judge = Judge(data, DRAWS)
    conditional = job.partition("-")[2] in ("cgan", "biggan")
    model, row = trained(job, steps, data, context=data.labels if conditional else None)
    labels = data.test.labels[:DRAWS]
    if conditional:
        draws = model.sample(1, context=labels, generator=0)[:, 0]
        show(model.sample(COLUMNS, context=torch.arange(10), generator=1).flatten(0, 1), path)
        row |= {"right": judge.read(draws, labels), "right_on_test": judge.read(data.test.x, data.test.labels)}
    else:
        draws = model.sample(DRAWS, generator=0)
        show(draws[:60], path)
    row |= judge.distance(draws)
    found = density_coverage(judge.classifier(draws), judge.reference[:DRAWS])
    row |= {name: round(found[name].value, 3) for name in ("density", "coverage")}
    row["floors"] = judge.floors()
    if "biggan" in job:
        row["truncation"] = [truncated(model, judge, labels, threshold) for threshold in THRESHOLDS]
    return row


def truncated(model: fw.Model, judge: Judge, labels: Tensor, threshold: float | None) -> Row:
    """Precision and recall of draws whose latents stay within a threshold."""
    sampler = None if threshold is None else Truncated(threshold)
    draws = model.sample(1, context=labels, sampler=sampler, generator=0)[:, 0]
    found = precision_recall(judge.classifier(draws), judge.reference[:DRAWS])
    row: Row = {"threshold": threshold, **{k: round(found[k].value, 3) for k in ("precision", "recall")}}
    row["right"] = judge.read(draws, labels)
    return row | {
        "input_variance": 1.0 if threshold is None else round(variance(threshold), 3),
        **judge.distance(draws),
    }


def encoded(job: str, steps: int, path: Path) -> Row:
    """Nearest neighbours by the encoding and by the pixels."""
    data = dataset("mnist")
    model, row = trained(job, steps, data)
    train, test = data.x[:10_000], data.test.x[:2000]
    labels, wanted = data.labels[:10_000], data.test.labels[:2000]
    z, w = model.encode(train), model.encode(test)
    row["right_by_encoding"] = round(float((labels[nearest(w, z, 1)[1][:, 0]] == wanted).float().mean()), 4)
    pixels = nearest(test.flatten(1).float(), train.flatten(1).float(), 1)[1][:, 0]
    row["right_by_pixels"] = round(float((labels[pixels] == wanted).float().mean()), 4)
    back = model.decode(w[: 3 * COLUMNS]).long()
    pairs = [torch.cat([test[i : i + COLUMNS].long(), back[i : i + COLUMNS]]) for i in range(0, 3 * COLUMNS, COLUMNS)]
    show(torch.cat(pairs), path)
    return row


def transferred(job: str, steps: int, path: Path) -> Row:
    """Digits of one hand written by the other."""
    ours, theirs = dataset("mnist"), framed(fw.data.load("usps", side=20))
    model, row = trained(job, steps, theirs.x, context=ours.x, paired=False)
    classifiers = {"usps": trained_on(theirs.x, theirs.labels), "mnist": trained_on(ours.x, ours.labels)}
    there = model.sample(1, context=ours.test.x[:2000], generator=0)[:, 0]
    back = model.reverse.sample(1, context=theirs.test.x, generator=0)[:, 0]
    row["mnist_to_usps"] = share(classifiers["usps"], there, ours.test.labels[:2000])
    row["usps_to_mnist"] = share(classifiers["mnist"], back, theirs.test.labels)
    row["mnist_unchanged"] = share(classifiers["usps"], ours.test.x[:2000], ours.test.labels[:2000])
    row["usps_unchanged"] = share(classifiers["mnist"], theirs.test.x, theirs.test.labels)
    show(torch.cat([ours.test.x[:10], there[:10], theirs.test.x[:10], back[:10]]), path)
    return row


def framed(data: Any) -> Any:
    """Digits of 20 pixels with the margin of 4 that MNIST has around its own."""
    test = replace(data.test, x=F.pad(data.test.x, [4] * 4), event=replace(data.event, shape=(28, 28)))
    return replace(data, x=F.pad(data.x, [4] * 4), event=test.event, test=test)


def share(classifier: Any, images: Tensor, labels: Tensor) -> float:
    """Of images that are seen as their label."""
    return round(float((classifier.probabilities(images).argmax(1) == labels).float().mean()), 4)


def translated(job: str, steps: int, path: Path) -> Row:
    """Photographs of facades from their label maps."""
    data, wide = fw.data.load("facades", side=64), fw.data.load("facades", side=128)
    model, row = trained(job, steps, *moved(wide.x, wide.labels))
    made = model.sample(1, context=data.test.labels, generator=0)[:, 0]
    row["mean_absolute_error"] = round(float((made.float() - data.test.x.float()).abs().mean() / 127.5), 4)
    mean = data.x.float().mean(0, keepdim=True)
    row["of_the_mean"] = round(float((mean - data.test.x.float()).abs().mean() / 127.5), 4)
    maps = (data.test.labels[:6] * (255 // 11)).unsqueeze(1).expand(-1, 3, -1, -1)
    show(torch.cat([maps, data.test.x[:6], made[:6]]), path, columns=6)
    return row


def moved(images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs made smaller, cut out here and there and mirrored, as in the paper; 400 are learned by heart else."""
    sides = (64 + JITTER, 64 + JITTER)
    images = F.interpolate(images.float(), sides, mode="area").round().byte()
    maps = F.interpolate(maps.unsqueeze(1).float(), sides, mode="nearest").squeeze(1).to(maps.dtype)
    generator, pairs = torch.Generator().manual_seed(0), []
    for copy in range(COPIES):
        down, right = torch.randint(JITTER + 1, (2,), generator=generator).tolist()
        pair = [part[..., down : down + 64, right : right + 64] for part in (images, maps)]
        pairs.append([part.flip(-1) if copy % 2 else part for part in pair])
    x, context = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return x, context


def sprites(job: str, steps: int, path: Path) -> Row:
    """Sprites, judged in principal components of the pixels."""
    x = dataset("crawl_tiles").x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, held = x[order[:3300]], x[order[3300:]]
    model, row = trained(job, steps, train)
    flat = train.flatten(1).double()
    directions = torch.linalg.svd(flat - flat.mean(0), full_matrices=False).Vh[:COMPONENTS].T / 255

    def features(images: Tensor) -> Tensor:
        return images.flatten(1).double() @ directions

    draws = model.sample(len(held), generator=0)
    for name, images in (("frechet", draws), ("fresh", train[: len(held)])):
        row[name] = round(frechet(features(images), features(held)).value, 3)
    show(draws[:40], path)
    return row


RUNS: dict[str, Callable[[str, int, Path], Row]] = {
    "dcgan": judged, "r3gan": judged, "cgan": judged, "biggan": judged, "bigan": encoded, "cycle_gan": transferred,
    "pix2pix": translated, "progan": sprites,
}  # fmt: skip


def main() -> int:
    """Run what is missing."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", default=",".join(STEPS))
    options.add_argument("--steps", type=int, default=None, help="of each fit, for a taste that is not recorded")
    asked = options.parse_args()
    torch.set_num_threads(1)
    whole = asked.steps is None
    rows, pictures = Rows(NAME, ("data", "model"), whole), PICTURES if whole else Path("runs") / NAME
    for job in asked.jobs.split(","):
        data, _, model = job.partition("-")
        if rows.has(data=data, model=model):
            continue
        if dataset(data) is None:
            print(f"     {job}: not run")
            continue
        row = RUNS[model](job, asked.steps or STEPS[job], pictures / f"{data}_{model}.png")
        print(row, flush=True)
        rows.put(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
