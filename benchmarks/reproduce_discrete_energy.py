"""Discrete energy models, up to 20 minutes of one core each, against published figures and against held-out data.

    binarized_mnist-rbm   500 hidden units, mean log-likelihood of the 10,000 test images: log Z by annealing up from
                          the base rates and down from draws, two figures with the truth between them on average.
                          Published: -86.34 nats with 25 steps of contrastive divergence (Salakhutdinov & Murray 2008,
                          table 1, their own binarisation), log Z by annealing up alone
    protein_msa-potts     the WW domain, 31 sites of 20 amino acids and the gap: correlation of draws with held-out
                          sequences in the frequencies of sites and in the connected frequencies of pairs, beside that
                          of the training sequences and that of independent sites

Connected: f_ij(a, b) - f_i(a) f_j(b). Steps are fixed; what they took is in the row.

Writes benchmarks/results/discrete_energy.json. Killed and started again, it goes on.

    python benchmarks/reproduce_discrete_energy.py                                      40 minutes on one core
    python benchmarks/reproduce_discrete_energy.py --jobs protein_msa-potts --steps 300    a taste
"""

import argparse
import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _rows import Clock, Row, Rows
from torch import Tensor

import fairway as fw
from fairway.core.event import Event
from fairway.data.locate import locate
from fairway.metrics.log_normaliser import bracket_log_normaliser
from fairway.models.classical.histogram import Independent
from fairway.models.energy.potts import Potts
from fairway.models.energy.rbm import RBM
from fairway.samplers.ais import AIS
from fairway.samplers.driver import Fixed
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.mcmc import MCMC

NAME = "discrete_energy"
STEPS = {"binarized_mnist-rbm": 60_000, "protein_msa-potts": 10_000}
PUBLISHED = -86.34
CHAINS, TEMPERATURES, ROUNDS = 100, 14_500, 5000  # as for the published log Z, and rounds to the draws from above
ALPHABET, SITES = "-ACDEFGHIKLMNPQRSTVWY", 31
WW = {"WW_domain_MSA.fasta.gz": "760128bfee259069e93604963367064980bd078db0df7d4dd23d1bf2a3722879"}
ORIGIN = "https://github.com/jertubiana/PGM (data/WW/WW_domain_MSA.fasta, gzipped)"


def trained(job: str, steps: int, model: fw.Model, x: Any, **options: Any) -> tuple[fw.Model, Row]:
    """The model of one job, from where an earlier run left off, and what its row says of the fit."""
    data, _, name = job.partition("-")
    clock = Clock()
    folder = Path("runs") / NAME / f"{job}-{steps}"
    model = fw.fit(model, x, steps=steps, seed=0, compile="off", validation=0, out=folder, resume=True, **options)
    row: Row = {"data": data, "model": name, "steps": model.history.steps, "precision": str(model.history.precision)}
    row |= {"parameters": sum(p.numel() for p in model.parameters())}
    return model, row | {"training_seconds": round(model.history.seconds, 1), "last_fit": clock.read()}


# -- images -----------------------------------------------------------------------------------------------------
def machine(job: str, steps: int, whole: bool) -> Row:
    """The likelihood of test images."""
    data = fw.data.load("binarized_mnist")
    model, row = trained(job, steps, RBM(data.event, hidden=500), data.x, batch_size=100)
    clock = Clock()
    rounds, temperatures = (ROUNDS, TEMPERATURES) if whole else (300, 300)
    draws = model.sample(CHAINS, sampler=MCMC(Gibbs(), Fixed(rounds, warmup=0)), generator=0)
    lower, upper = bracket_log_normaliser(model, draws, sampler=MCMC(Gibbs(), AIS(temperatures)))
    row |= {"log_Z": [lower.to_dict(), upper.to_dict()], "temperatures": temperatures, "rounds": rounds}
    for part, x in (("test", data.test.x), ("train", data.x[:10_000])):
        value = -model.energy(x).double()
        error = float(value.std()) / len(x) ** 0.5
        row[part] = {"up": value.mean().item() - lower.value, "down": value.mean().item() - upper.value, "error": error}
    return row | {"published_test": PUBLISHED, "annealing": clock.read()}


# -- sequences --------------------------------------------------------------------------------------------------
def sequences() -> Tensor:
    """Aligned sequences of the WW domain (17233, 31), the place of each letter in the alphabet."""
    (path,) = locate("protein_msa", WW, ORIGIN, None, "protein_msa")
    with gzip.open(path, "rt") as file:
        rows = [line.strip() for line in file if not line.startswith(">")]
    return torch.tensor([[ALPHABET.index(letter) for letter in row] for row in rows])


def potts(job: str, steps: int, whole: bool) -> Row:
    """Frequencies of draws beside those of sequences that were held out."""
    x = sequences()
    event = Event((SITES,), "category", levels=len(ALPHABET))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held, train = x[order[: len(x) // 5]], x[order[len(x) // 5 :]]
    model, row = trained(job, steps, Potts(event), train, batch_size=256)
    draws = model.sample(len(train), generator=0)
    rivals = {
        "draws": draws,
        "training": train,
        "independent": fw.fit(Independent(event), train).sample(len(train), generator=0),
    }
    sites, pairs = frequencies(held)
    for name, rival in rivals.items():
        own = frequencies(rival)
        row[name] = {"sites": correlation(own[0], sites), "connected_pairs": correlation(own[1], pairs)}
    score = model.contacts(gap=0)
    far = (torch.arange(SITES) - torch.arange(SITES).unsqueeze(1)) > 3
    best = torch.where(far, score, -torch.inf).flatten().topk(10).indices
    row["contacts"] = [[int(k) // SITES + 1, int(k) % SITES + 1] for k in best]
    return row


def frequencies(x: Tensor) -> tuple[Tensor, Tensor]:
    """f_i(a), and f_ij(a, b) - f_i(a) f_j(b) of different sites, i < j, flat."""
    seen = F.one_hot(x.long(), len(ALPHABET)).float().flatten(1)
    site, both = seen.double().mean(0), (seen.T @ seen).double() / len(x)
    place = torch.arange(len(site)) // len(ALPHABET)
    return site, (both - site.outer(site))[place.unsqueeze(1) < place]


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's."""
    return round(float(torch.corrcoef(torch.stack([a, b]))[0, 1]), 4)


RUNS: dict[str, Callable[[str, int, bool], Row]] = {"rbm": machine, "potts": potts}


def main() -> int:
    """Run what is missing."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", default=",".join(STEPS))
    options.add_argument("--steps", type=int, default=None, help="of each fit, for a taste that is not recorded")
    asked = options.parse_args()
    torch.set_num_threads(1)
    whole = asked.steps is None
    rows = Rows(NAME, ("data", "model"), whole)
    for job in asked.jobs.split(","):
        data, _, model = job.partition("-")
        if rows.has(data=data, model=model):
            continue
        try:
            row = RUNS[model](job, asked.steps or STEPS[job], whole)
        except FileNotFoundError as error:
            print(f"not run: {job}: {error}")
            continue
        print(row, flush=True)
        rows.put(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
