"""Generate docs/results.md from benchmarks/results/*.json, so that no number in the docs is typed.

python tools/tables.py           write it
python tools/tables.py --check   exit 1 if it is not what the results say
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: Any, form: str = ".3f") -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else format(value, form) if isinstance(value, int | float) else str(value)


def about(found: dict[str, Any], command: str) -> str:
    """Where the numbers come from."""
    a = found["machine"]
    return (
        f"`{command}`, commit {a['commit']}, torch {a['torch']}, Python {a['python']}, {a['cores']} cores, "
        f"{a['threads']} threads, {a['seconds']} s in all."
    )


def digits(found: dict[str, Any]) -> str:
    """The main job's table."""
    rows = []
    for row in found["rows"]:
        likelihood = row["likelihood"] or {}
        sign = {"equal": "=", "lower": "≤", "upper": "≥"}.get(likelihood.get("relation", ""), "")
        bits = likelihood.get("bits_per_dim")
        text = "–" if bits is None else f"{sign} {bits:.3f} ± {likelihood['bits_per_dim_error']:.3f}"
        cells = [
            row["name"],
            text,
            likelihood.get("method", "–"),
            number(row["distance"]),
            number(row["strokes"], ".0f"),
        ]
        cells += [number(row["parameters"], ",d"), number(row["training_seconds"], ".1f"), number(row["sure"], ".2f")]
        rows.append([*cells, f"{number(row['present'], 'd')}"])
    head = [
        "model",
        "bits/dim, held out",
        "method",
        "distance",
        "strokes",
        "parameters",
        "training s",
        "sure",
        "classes",
    ]
    return table(head, rows)


def awkward_units(found: dict[str, Any]) -> str:
    """Integrals and moments in awkward units."""
    rows = [
        [
            r["model"],
            number(r["integral"], ".4f"),
            number(r["mean_shift"]),
            ", ".join(f"{s:.3f}" for s in r["std_ratio"]),
        ]
        for r in found["rows"]
    ]
    return table(["model", "integral of the density", "means off by (std)", "std of samples / data"], rows)


def chains(found: dict[str, Any]) -> str:
    """Milliseconds per draw of all chains, and the goals."""
    columns = list(dict.fromkeys((r["problem"], r["chains"]) for r in found["rows"] if r["chains"] > 1))
    cells = {(r["side"], r["problem"], r["chains"]): r for r in found["rows"]}
    sides = list(dict.fromkeys(r["side"] for r in found["rows"]))
    rows = []
    for side in sides:
        mine = [cells.get((side, *column)) for column in columns]
        if any(mine):
            rows.append([side, *(number(r and r["ms_per_draw"]) for r in mine)])
            first = [number(r and r.get("first_call_s"), ".1f") for r in mine]
            ess = [number(r and r.get("min_bulk_ess_per_s"), ",.0f") for r in mine]
            rows[-1] += [" / ".join(ess), " / ".join(first)]
    head = ["side", *(f"{problem}, {n} chains: ms per draw" for problem, n in columns)]
    goals = [
        [g["what"], f"{g['times']:.2f}", number(g["goal"], ".1f"), "yes" if g["ok"] else "no"] for g in found["goals"]
    ]
    peers = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    return "\n\n".join(
        [
            f"HMC at the same step size and 10 leapfrogs, one thread, CPU time, against {peers}.",
            table([*head, "min bulk ESS per second", "first call, s"], rows),
            table(["times", "reached", "goal", "ok"], goals),
            "Where blackjax wins:",
            "\n".join(f"- {line}" for line in found["blackjax_wins"]),
        ]
    )


def gmm(found: dict[str, Any]) -> str:
    """EM's seconds against the peer's, and what float32 loses."""
    rows = []
    for r in found["rows"]:
        cells = [f"{r['rows']:,} x {r['dims']}, {r['components']} {r['covariance']}", r["dtype"], str(r["iterations"])]
        rows.append([*cells, number(r["ours_s"]), number(r["peer_s"]), number(r["times"], ".1f")])
    head = ["rows x dimensions, components", "precision", "iterations", "CPU s", "scikit-learn, CPU s", "times as fast"]
    errors = [[name, number(e["means"], ".1e"), number(e["covariances"], ".1e")] for name, e in found["errors"].items()]
    return "\n\n".join(
        [
            f"Whole fits from the same start, one thread, against scikit-learn {found['scikit-learn']}; float64 "
            f"log-likelihoods agree to {found['log_likelihood_off']:.0e}. Goals for the first two rows: "
            f"{found['goals']['float64']:.0f} and {found['goals']['float32']:.0f} times.",
            table(head, rows),
            "The largest errors of float32 fits against float64 fits of the same rows, where shifted by "
            f"{found['shift']:,.0f}:",
            table(["side", "means", "covariances"], errors),
        ]
    )


def eight_modes(found: dict[str, Any]) -> str:
    """Who finds the weights of the modes."""
    rows = [
        [
            name,
            number(r["total_variation"]),
            number(r["worst_total_variation"]),
            number(r["log_Z_error"]),
            number(r["cpu_seconds"], ".2f"),
        ]
        for name, r in found["rows"].items()
    ]
    return table(["sampler", "total variation", "worst", "error of log Z, nats", "CPU s"], rows)


def metrics(found: dict[str, Any]) -> str:
    """Seconds of each group of metrics."""
    rows = [[name, number(seconds, ".2f")] for name, seconds in found["cpu_seconds"].items()]
    return table(
        [f"metrics, n = {found['n']:,}, d = {found['d']}", "CPU s"], [*rows, ["all", number(found["total"], ".2f")]]
    )


def kill_trials(found: dict[str, Any]) -> str:
    """Where each run was killed, and how it ended."""
    rows = [
        [
            r["model"],
            "in a checkpoint" if r["half_written"] else "between checkpoints",
            f"{r['last_row']}",
            f"{r['resumed_at']}",
            f"{r['every']}",
            r["failed"] or "every bit",
        ]
        for r in found["rows"]
    ]
    passed = sum(not r["failed"] for r in found["rows"])
    head = ["model", "killed", "last row of its log", "resumed at", "checkpoints every", "equal in"]
    return f"{passed} of {len(rows)} runs of {found['steps']} steps.\n\n" + table(head, rows)


def memory(found: dict[str, Any]) -> str:
    """Private memory of a fit on a mapped file."""
    g = found["gigabytes"]
    cells = [number(found["bytes"] / 1e9, ".1f"), f"{found['rows']:,} x {found['columns']}", f"{found['steps']:,}"]
    cells += [number(g[key], ".2f") for key in ("base", "peak")] + [number(found["limit"], ".1f")]
    cells += [number(g["seconds"], ".0f"), number(g["training_seconds"], ".1f")]
    head = ["file, GB", "rows", "steps", "private memory before, GB", "peak, GB", "allowed", "seconds", "of them steps"]
    return table(head, [cells])


def compiled(found: dict[str, Any]) -> str:
    """What compiled training gains, and after how many steps it pays."""
    columns = {"eager_ms": ".2f", "compiled_ms": ".2f", "gain": ".2f", "cold_cpu_s": ".0f", "warm_cpu_s": ".0f"}
    columns |= {"cold_pays_after": ",d", "warm_pays_after": ",d"}
    rows = []
    for r in found["rows"]:
        cells = [number(r.get(name), form) for name, form in columns.items()]
        why = r["eager_because"] or ("chosen where it pays" if r["declared"] else "only when asked")
        rows.append([r["model"], r["data"], *cells, why])
    head = ["model", "data", "eager ms/step", "compiled ms/step", "gain", "cold compile s", "warm compile s"]
    return table([*head, "pays after steps, cold", "warm", "compiled"], rows)


def two_processes(found: dict[str, Any]) -> str:
    """How far two processes are from one."""
    rows = []
    for r in found["rows"]:
        bits = "the same" if r["same_bits"] else "**others**"
        cells = [r["name"], r["kind"], number(r["curve"], ".0e"), number(r["weights"], ".0e")]
        rows.append([*cells, f"{r['resumed_at']} of {r['steps']}", bits, "yes" if r["loads"] else "**no**"])
    head = ["model", "engine", "largest difference of a log", "of a weight", "resumed at", "bits then"]
    return table([*head, "loads in one process"], rows)


def loop_overhead(found: dict[str, Any]) -> str:
    """The training loop against one written by hand."""
    rows = []
    for r in found["rows"]:
        ratio = number(r["ratio"]) if r["ratio"] <= found["goal"] else f"**{number(r['ratio'])}**"
        rows.append([r["name"], number(r["fit_ms"]), number(r["by_hand_ms"]), ratio, number(found["goal"], ".2f")])
    return table(["step", "`fit`, ms", "by hand, ms", "ratio", "at most"], rows)


def patches(found: dict[str, Any]) -> str:
    """Flows on image patches beside the published."""
    rows = []
    for r in found["rows"]:
        nats = f"{r['nats']:.2f} ± {r['error']:.2f}"
        rows.append([r["model"], nats, r["budget"], number(r.get("steps"), ",d"), number(r.get("parameters"), ",d")])
    names = {"maf", "nsf", "glow"} - {r["model"] for r in found["rows"]}
    rows += [[name, "not run", "–", "–", "–"] for name in sorted(names)]
    papers = [[p["name"], f"{p['nats']:.2f} ± {p['error']:.2f}", p["source"]] for p in found["published"]]
    return "\n\n".join(
        [
            "Nats on 30,000 patches of other photographs, ± one standard error.",
            table(["model", "nats", "budget", "steps", "parameters"], rows),
            "Published for the papers' own BSDS300, ± two standard errors: the same scale, not the same points, and a "
            "million patches to learn from instead of 190,000.",
            table(["model", "nats", "source"], papers),
        ]
    )


def flows(found: dict[str, Any]) -> str:
    """Flows against three libraries: the best peer's time over ours."""
    rows = []
    for r in found["rows"]:
        peers = [number(r.get(f"{name}_ms"), ".2f") for name in ("zuko", "nflows", "normflows")]
        ratio = number(r["ratio"], ".2f") if r["passed"] else f"**{number(r['ratio'], '.2f')}**"
        cells = [r["system"], r["operation"], str(r["dims"]), f"{r['batch']:,}", r["mode"]]
        eager = number(r.get("ratio_eager"), ".2f") if r["mode"] == "compiled" else "–"
        rows.append([*cells, number(r["fairway_ms"], ".2f"), *peers, ratio, number(r["goal"], ".1f"), eager])
    head = ["flow", "operation", "D", "batch", "mode", "ours, ms", "zuko", "nflows", "normflows", "ratio", "goal"]
    head.append("ratio to eager peers")
    said = (
        "CPU milliseconds, a ratio below its goal bold. Where ours is compiled, a peer has the better of its compiled "
        "and its eager time; the last column compares with peers as they come. Rows that are not here were not run."
    )
    return f"{said}\n\n{table(head, rows)}"


def determinants(found: dict[str, Any]) -> str:
    """How determinants grow with the size."""
    rows = [
        [name, f"n^{r['power']:.2f}", number(max(r["sizes"]), ",d"), f"{r['seconds'][-1]:.1e}"]
        for name, r in found["rows"].items()
    ]
    return table(["Jacobian", "time grows as", "largest n", "seconds there"], rows)


def posteriors(found: dict[str, Any]) -> str:
    """C2ST of learned posteriors beside the published."""
    rows = []
    for task, goals in found["goals"].items():
        made = {(r["model"], r["observation"]): r["c2st"] for r in found["rows"] if r["task"] == task}
        sides = {name: [made.get((name, k)) for k in (1, 2)] for name in dict.fromkeys(name for name, _ in made)}
        sides |= {f"{name}, published": list(pair) for name, pair in found["published"][task].items()}
        for name, pair in sides.items():
            mean = None if None in pair else sum(pair) / 2
            rows.append([task, name, *map(number, pair), number(mean), number(goals.get(name), ".2f")])
    return "10,000 pairs, 10,000 draws against 10,000; 0.5 is the best.\n\n" + table(
        ["task", "model", "observation 1", "observation 2", "mean", "goal"], rows
    )


def tabular(found: dict[str, Any]) -> str:
    """Two families on tables, by density and by draws."""
    rows = []
    for r in sorted(found["rows"], key=lambda r: (r["dataset"], r["model"], r["seed"])):
        apart = [f"{side['accuracy']:.3f} ± {side['accuracy_sd']:.3f}" for side in (r, r["floor"])]
        nats = f"{r['nats']:.3f} ± {r['error']:.3f}"
        cells = [r["dataset"], r["model"], str(r["seed"]), nats, r["method"], number(r["step_error"], ".1e")]
        cost = [number(r[key], ".0f") for key in ("training_cpu_seconds", "likelihood_cpu_seconds")]
        rows.append([*cells, *apart, *cost, number(r["draw_cpu_seconds"], ".1f"), f"{r['steps']:,}"])
    gaussians = ", ".join(
        f"{data} {nats:.3f}" for data, nats in {r["dataset"]: r["gaussian"] for r in found["rows"]}.items()
    )
    head = ["data", "model", "seed", "nats", "method", "error of its steps", "told apart", "floor", "CPU s: training"]
    said = (
        f"Nats of {found['test']:,} test rows ± one standard error, which the models share (Gaussian: {gaussians}). "
        f"Told apart: held-out accuracy of a small classifier between test rows and as many draws, mean and standard "
        f"deviation of {found['repeats']} repeats; the floor has rows of the training split for draws. The last "
        f"seconds are those of {found['repeats']} draws for each test row."
    )
    return f"{said}\n\n" + table([*head, "likelihood", "draws", "steps"], rows)


def stability(found: dict[str, Any]) -> str:
    """How many fits were finite and beat a Gaussian."""
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in found["rows"]:
        kinds.setdefault((r["model"], r["dataset"]), []).append(r)
    rows = []
    for (model, data), mine in sorted(kinds.items()):
        nats = [r["nats"] for r in mine if r["nats"] is not None]
        passed = sum(not r["why"] and r["nats"] is not None and r["nats"] > r["gaussian"] for r in mine)
        ends = [number(min(nats, default=None)), number(max(nats, default=None)), number(mine[0]["gaussian"])]
        rows.append([model, data, f"{passed} of {len(mine)}", *ends])
    head = ["model", "data", "finite and above the Gaussian", "worst, nats", "best, nats", "Gaussian, nats"]
    budgets = ", ".join(sorted({r["budget"] for r in found["rows"]}))
    return f"Default settings, {budgets} each, one thread.\n\n" + table(head, rows)


def image_flows(found: dict[str, Any]) -> str:
    """Bits per dimension of flows of images."""
    rows = []
    for data, papers in found["published"].items():
        for r in (r for r in found["rows"] if r["data"] == data):
            cost = [f"{r['training_seconds'] / 60:.0f}", f"{r['steps']:,}", f"{r['parameters']:,}"]
            rows.append([data, r["model"], f"≤ {r['bits']:.3f} ± {r['error']:.3f}", *cost])
        rows += [[data, f"{p['name']}: {p['source']}", number(p["bits"], ".2f"), "–", "–", "–"] for p in papers]
    head = ["data", "model", "bits/dim, test split", "minutes", "steps", "parameters"]
    return "Grey levels 0..255, uniformly dequantised, so an upper bound.\n\n" + table(head, rows)


def flow_posteriors(found: dict[str, Any]) -> str:
    """Bounds of a VAE by posterior, means over seeds."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for r in found["rows"]:
        kinds.setdefault(r["posterior"], []).append(r)
    rows = []
    for name, mine in kinds.items():
        means = [sum(r[key] for r in mine) / len(mine) for key in ("bound", "importance_bound", "ess", "cpu_seconds")]
        worst, best = min(r["importance_bound"] for r in mine), max(r["importance_bound"] for r in mine)
        cells = [number(means[0], ".2f"), f"{means[1]:.2f} ({worst:.2f} to {best:.2f})", number(means[2], ".1f")]
        rows.append([name, str(len(mine)), *cells, number(means[3], ".0f"), f"{mine[0]['parameters']:,}"])
    head = ["posterior", "seeds", "bound, nats", f"bound of {found['draws']} draws, nats", "ESS", "CPU s", "parameters"]
    steps = f"Binarised MNIST, {found['steps']:,} steps each, the first {found['test']:,} test images.\n\n"
    return steps + table(head, rows)


def image_diffusion(found: dict[str, Any]) -> str:
    """Distances stroke by stroke, guidance, bits."""
    golf, guidance, bits, marks = [], [], [], [f"{k} strokes" for k in (1, 2, 4, 8, 18, 35)]
    for r in found["rows"]:
        who, floors = [r["data"], r["model"]], {f["rule"]: number(f["frechet"], ".1f") for f in r["floors"]}
        ends = [floors[name] for name in ("fresh", "copy", "gaussian")]
        cost = [f"{r['training_seconds'] / 60:.0f}", f"{r['steps']:,}"]
        if "golf" in r:
            at = {g["rule"]: number(g["frechet"], ".1f") for g in r["golf"]}
            played = [at.get(f"dpm_solver {mark.split()[0]}", "–") for mark in marks]
            golf.append([*who, *played, at.get("heun 35", "–"), *ends, *cost])
        guidance += [
            [*who, number(g["scale"], ".1f"), f"{g['frechet']:.1f} ± {g['error']:.1f}", f"{g['right']:.1%}"]
            for g in r.get("guidance", ())
        ]
        bits += [[*who, b["rule"], f"≤ {b['bits']:.3f} ± {b['error']:.3f}"] for b in r.get("bits", ())]
    first = found["rows"][0]
    parts = [
        f"Fréchet distance of {first['draws']:,} draws to test images in a small classifier's last hidden layer (no "
        f"FID), beside as many fresh images, training images and draws of a Gaussian; {first['parameters']:,} "
        f"parameters, products in {first['precision']}.",
        table(["data", "model", *marks, "Heun, 35", "fresh", "copy", "Gaussian", "minutes", "steps"], golf),
    ]
    if guidance:
        parts.append(table(["data", "model", "guidance", "distance", "seen as asked for"], guidance))
    if bits:
        parts.append(table(["data", "model", "by", "bits/dim of test images"], bits))
    return "\n\n".join(parts)


def diffusion(found: dict[str, Any]) -> str:
    """Ratios against peers."""
    rows = []
    for r in found["rows"]:
        ours = f"{r['ours_strokes']:.0f} strokes" if "ours_strokes" in r else f"{number(r['ours_ms'], ',.3f')} ms"
        theirs = f"{r['peer_strokes']} strokes" if "peer_strokes" in r else f"{number(r['peer_ms'], ',.3f')} ms"
        float32 = number(r.get("ratio_float32"), ".2f")
        rows.append([r["row"], ours, theirs, number(r["ratio"], ".2f"), float32, number(r["goal"], ".2f")])
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    kind = "in bfloat16" if found["bfloat16"] else "in float32 (no bfloat16 here)"
    return f"One thread, convolutions {kind}; {versions}.\n\n" + table(
        ["row, peer", "ours", "peer", "ratio", "ratio in float32", "goal"], rows
    )


def modes(found: dict[str, Any]) -> str:
    """Five numbers of each model over its seeds, beside what is known."""
    names, rows = ("captured", "fair", "high_quality", "kl", "spread"), []
    verdicts = {(data, model): said for data, model, said in found.get("verdicts", ())}
    for data, model in dict.fromkeys((r["data"], r["model"]) for r in found["rows"]):
        mine = [r for r in found["rows"] if (r["data"], r["model"]) == (data, model)]
        cells = [data, model, str(len(mine))]
        for name in (*names, "cpu_seconds"):
            values = sorted(r[name] for r in mine if r.get(name) is not None)
            worst = values[-1] if name in ("kl", "cpu_seconds") and values else values[0] if values else None
            middle = median(values) if values else None
            form = ".1f" if name in ("captured", "fair", "cpu_seconds") else ".3f"
            cells.append(f"{number(middle, form)} ({number(worst, form)})")
        rows.append([*cells, verdicts.get((data, model), "–")])
    rows += [[r["data"], r["model"], "–", *(number(r[n]) for n in names), "–", "–"] for r in found["references"]]
    head = ["data", "model", "seeds", "captured", "fair", "high quality", "KL", "spread", "CPU s", "verdict"]
    published = [[d, m, number(c, ".1f"), f"{q:.1%}", source] for d, m, c, q, source in found["published"]]
    stacked = [[d, m, number(c, ".1f"), f"{kl:.2f}", source] for d, m, c, kl, source in found["published_stacks"]]
    return "\n\n".join(
        [
            "2,500 draws of models of 50,000 rows, each seed's turned and rescaled: median over the seeds (worst).",
            table(head, rows),
            "Published, for orientation; networks and steps differ by far:",
            table(["data", "model", "captured", "high quality", "source"], published),
            table(["data", "model", "captured", "KL", "source"], stacked),
        ]
    )


def image_gans(found: dict[str, Any]) -> str:
    """What each script's job found."""
    rows = []
    for r in found["rows"]:
        said = {
            k: v
            for k, v in r.items()
            if isinstance(v, int | float) and k not in ("steps", "training_seconds", "parameters", "error")
        }
        floors = {f["rule"]: f["frechet"] for f in r.get("floors", ())}
        words = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in said.items())
        beside = ", ".join(f"{name} {value:.1f}" for name, value in floors.items()) or "–"
        rows.append([r["data"], r["model"], words, beside, f"{r['training_seconds'] / 60:.0f}", f"{r['steps']:,}"])
    parts = [table(["data", "model", "found", "Fréchet distance of", "minutes", "steps"], rows)]
    for r in found["rows"]:
        if "truncation" in r:
            head = ["threshold", "precision", "recall", "seen as asked for", "variance of the input", "Fréchet"]
            kept, cuts = ("precision", "recall", "right", "input_variance"), []
            for t in r["truncation"]:
                distance = f"{t['frechet']:.1f} ± {t['error']:.1f}"
                cuts.append([number(t["threshold"], "g"), *(f"{t[k]:.3f}" for k in kept), distance])
            parts.append(f"`{r['model']}` with truncated latents (– for none):\n\n" + table(head, cuts))
    return "\n\n".join(parts)


def clipping(found: dict[str, Any]) -> str:
    """What each clip comes to."""
    names = ("c", "gap", "wasserstein", "captured", "high_quality")
    rows = [[f"{r[name]:g}" for name in names] for r in found["rows"]]
    head = ["c", "the critic's gap", "exact W1", "modes of 8", "high quality"]
    return f"{found['steps']:,} steps.\n\n" + table(head, rows)


def tricks(found: dict[str, Any]) -> str:
    """One trick at a time: median over the seeds (worst)."""
    names, rows = ("captured", "fair", "high_quality", "kl", "spread"), []
    for trick in dict.fromkeys(r["trick"] for r in found["rows"]):
        mine = [r for r in found["rows"] if r["trick"] == trick]
        cells = [trick, str(len(mine))]
        for name in names:
            values = sorted(r[name] for r in mine if r[name] is not None)
            worst = (values[-1] if name == "kl" else values[0]) if values else None
            form = ".0f" if name in ("captured", "fair") else ".3f"
            cells.append(f"{number(median(values) if values else None, form)} ({number(worst, form)})")
        rows.append(cells)
    head = ["trick", "seeds", "captured", "fair", "high quality", "KL", "spread"]
    return f"The ring of 8 Gaussians, {found['rows'][0]['steps']:,} steps.\n\n" + table(head, rows)


def small_data(found: dict[str, Any]) -> str:
    """A generator of few images, and what augmentation adds."""
    rows = [
        [
            r["case"], f"{r['images']:,}", f"{r['accuracy']:.3f}", f"{r['frechet']:.1f} ± {r['error']:.1f}",
            f"{r['density']:.3f}", f"{r['coverage']:.3f}", f"{r['cpu_seconds']:.0f}",
        ]
        for r in found["rows"]
    ]  # fmt: skip
    head = ["what the critic sees", "images", "its accuracy", "Fréchet distance", "density", "coverage", "CPU s"]
    return f"Garments by `r3gan`'s networks, {found['rows'][0]['steps']:,} steps.\n\n" + table(head, rows)


def slopes(found: dict[str, Any]) -> str:
    """Slopes where the critic is sure, unsure, and sure of the opposite."""
    rows = [[name.replace("_", "-"), *(f"{v:.4f}" for v in at.values())] for name, at in found["slope_at"].items()]
    logits = next(iter(found["slope_at"].values()))
    return table(["slope of the generator's loss", *(f"a = {float(a):g}" for a in logits)], rows)


def gan(found: dict[str, Any]) -> str:
    """Milliseconds of a step, and what penalties cost."""
    peers = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    goals = {g["what"]: f"{'>' if g['what'].startswith('step') else '<'}= {g['goal']:.1f}" for g in found["goals"]}
    return "\n\n".join(
        [
            f"DCGAN's pair on 32 x 32 x 3, batches of {found['batch']}, one thread, CPU time; {peers}.",
            table(["side", "ms a step"], [[side, number(ms, ".1f")] for side, ms in found["ms"].items()]),
            table(
                ["times", "reached", "goal"],
                [[w, number(t, ".2f"), goals.get(w, "–")] for w, t in found["times"].items()],
            ),
        ]
    )


def energies(found: dict[str, Any]) -> str:
    """Divergences on the plane, digits by annealing, garments by chains."""
    goals = {(data, objective): goal for data, objective, goal in found["goals"]}
    plane = []
    for key in dict.fromkeys((r["data"], r["objective"]) for r in found["rows"] if "kl" in r):
        mine = [r for r in found["rows"] if (r["data"], r["objective"]) == key]
        values, seconds = sorted(r["kl"] for r in mine), max(r["cpu_seconds"] for r in mine)
        cells = [number(median(values), ".4f"), number(values[-1], ".4f"), number(goals[key], ".2f")]
        plane.append([*key, str(len(mine)), *cells, f"{seconds:.0f}"])
    parts = [
        "KL(data || model) in nats on a grid of 600 x 600 points, over seeds.",
        table(["data", "objective", "seeds", "median", "worst", "goal", "CPU s, at most"], plane),
    ]
    for r in found["rows"]:
        if r["data"] == "digits":
            rows = [
                [f"{m['components']} Gaussians, {m['covariance']}", number(m["test"], ".2f")] for m in r["mixtures"]
            ]
            low, high = (number(value, ".2f") for value in r["test"])
            rows.append(
                [f"energy over {r['reference']['gmm']} Gaussians, log Z by {r['ess']:.0%} ESS", f"{low} to {high}"]
            )
            parts += [
                "Digits, mean test log-likelihood in nats, 64 standardised logits.",
                table(["model", "test"], rows),
            ]
        if r["data"] == "fashion_mnist":
            floors = ", ".join(f"{f['rule']} {f['frechet']:.1f}" for f in r["floors"])
            cost = f"{r['steps']:,} steps, {r['cpu_seconds'] / 60:.0f} CPU minutes"
            told = f"told from MNIST by its energy with AUROC {r['auroc_against_mnist']:.3f}"
            parts.append(f"Fashion-MNIST by chains, {cost}: Fréchet {r['frechet']:.1f} ({floors}); {told}.")
    return "\n\n".join(parts)


def energy_speed(found: dict[str, Any]) -> str:
    """Milliseconds of a step of persistent contrastive divergence."""
    peers = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    rows = [
        [str(r["dims"]), str(r["batch"]), str(r["moves"]), *(number(ms, ".2f") for ms in r["ms"].values()),
         number(r["times"]["fairway"], ".2f"), number(r["goal"], ".1f")]
        for r in found["steps"]
    ]  # fmt: skip
    head = [
        "dimensions",
        "rows",
        "moves",
        "equal work, ms",
        "eager, ms",
        "as it comes, ms",
        "torchebm, ms",
        "times",
        "goal",
    ]
    peer = ", ".join(f"{q['data']} {q['kl']:.3f}" for q in found["peer_quality"])
    return "\n\n".join([f"One thread, CPU time; {peers}.", table(head, rows), f"KL that the peer reaches: {peer}."])


def discrete_energies(found: dict[str, Any]) -> str:
    """Test images between two annealings, and frequencies of sites and pairs."""
    parts = []
    for r in found["rows"]:
        cost = f"{r['steps']:,} steps, {r['last_fit']['cpu_seconds'] / 60:.0f} CPU minutes"
        if "test" in r:
            rows = [
                [part, number(r[part]["up"], ".2f"), number(r[part]["down"], ".2f"), number(r[part]["error"], ".2f")]
                for part in ("test", "train")
            ]
            parts += [
                f"{r['data']}, {r['model']}, {cost}: mean log-likelihood in nats, log Z annealed up (which "
                f"flatters) and down; published {r['published_test']} by annealing up.",
                table(["images", "up", "down", "error"], rows),
            ]
        if "draws" in r:
            rows = [
                [name, number(r[name]["sites"], ".4f"), number(r[name]["connected_pairs"], ".4f")]
                for name in ("draws", "training", "independent")
            ]
            parts += [
                f"{r['data']}, {r['model']}, {cost}: correlation of frequencies with those of held-out sequences.",
                table(["of", "sites", "connected pairs"], rows),
            ]
    return "\n\n".join(parts)


def textures(found: dict[str, Any]) -> str:
    """How far the mean responses of draws are from those of data."""
    rows = [
        [
            name,
            str(r["statistics"]),
            number(r["largest_gap"], ".4f"),
            number(r["mean_gap"], ".4f"),
            f"{r['cpu_seconds']:.0f}",
        ]
        for name, r in found["rows"].items()
    ]
    return table(["texture", "statistics", "largest gap", "mean gap", "CPU s"], rows)


def quadrature(found: dict[str, Any]) -> str:
    """Points and seconds of log Z by a grid, by dimension."""
    rows = [
        [dims, f"{r['points']:,}", number(r["seconds"], ".2g"), number(r["error"], ".1g")]
        for dims, r in found["grid"].items()
    ]
    return table(["dimensions", "points", "seconds", "error, nats"], rows)


SECTIONS = {
    "digits": ("Handwritten digits, 30 seconds each", "benchmarks/reproduce_digits.py", digits),
    "awkward_units": ("Awkward units", "benchmarks/reproduce_awkward_units.py", awkward_units),
    "bsds300": ("Image patches, 63 dimensions", "benchmarks/reproduce_bsds300.py", patches),
    "sbibm": ("Posteriors of simulators", "benchmarks/reproduce_sbibm.py", posteriors),
    "posteriors": ("Posteriors of a VAE", "benchmarks/reproduce_posteriors.py", flow_posteriors),
    "image_flows": ("Flows of images", "benchmarks/reproduce_image_flows.py", image_flows),
    "image_diffusion": ("Golf on images", "benchmarks/reproduce_image_diffusion.py", image_diffusion),
    "diffusion": ("Denoisers against their peers", "benchmarks/diffusion.py", diffusion),
    "modes": ("Who keeps all modes", "benchmarks/modes.py", modes),
    "gan": ("A step of an adversary against torchgan", "benchmarks/gan.py", gan),
    "clipping": ("How much the clip decides", "benchmarks/clipping.py", clipping),
    "tricks": ("Tricks, one at a time", "benchmarks/tricks.py", tricks),
    "adversary_slopes": ("What a critic that is sure teaches", "benchmarks/adversary_slopes.py", slopes),
    "small_data": ("Few images", "benchmarks/reproduce_small_data.py", small_data),
    "image_gans": ("Adversaries on images", "benchmarks/reproduce_image_gans.py", image_gans),
    "energy_models": ("Energies by integrals", "benchmarks/reproduce_energy.py", energies),
    "discrete_energy": ("Energies of discrete data", "benchmarks/reproduce_discrete_energy.py", discrete_energies),
    "energy": ("A step of an energy against torchebm", "benchmarks/energy.py", energy_speed),
    "texture": ("Textures", "benchmarks/reproduce_texture.py", textures),
    "quadrature_cost": ("What a grid costs", "benchmarks/quadrature_cost.py", quadrature),
    "flows": ("Flows against zuko, nflows and normflows", "benchmarks/flows.py", flows),
    "determinants": ("What a determinant costs", "benchmarks/determinants.py", determinants),
    "tabular": ("Tables of ten columns", "benchmarks/reproduce_tabular.py", tabular),
    "stability": ("Stability of flows", "benchmarks/reproduce_stability.py", stability),
    "mcmc": ("Markov chains against their peers", "benchmarks/mcmc.py", chains),
    "eight_modes": ("Eight modes of weights 1 to 8", "benchmarks/eight_modes.py", eight_modes),
    "gmm": ("Mixtures of Gaussians against scikit-learn", "benchmarks/gmm.py", gmm),
    "kill_trials": ("Killed and resumed", "benchmarks/kill_trials.py", kill_trials),
    "compile": ("Compiled training", "benchmarks/compile.py", compiled),
    "two_processes": ("Two processes against one", "benchmarks/two_processes.py", two_processes),
    "loop_overhead": ("What the training loop costs", "benchmarks/loop_overhead.py", loop_overhead),
    "metrics": ("All point values of the metrics", "benchmarks/metrics.py", metrics),
    "memory": ("Training on a mapped file of 4 GB", "benchmarks/memory.py", memory),
}


def page() -> str:
    """The whole page."""
    parts = ["# Results", "Generated by `tools/tables.py` from `benchmarks/results/`; no number here was typed."]
    for name, (title, script, render) in SECTIONS.items():
        path = ROOT / "benchmarks" / "results" / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text())
            parts += [f"## {title}", render(found), about(found, f"python {script}")]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            "docs/results.md is not what benchmarks/results say: run tools/tables.py"
            if PAGE.read_text() != page()
            else 0
        )
    PAGE.write_text(page())
