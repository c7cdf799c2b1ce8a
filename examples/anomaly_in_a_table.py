"""A scientist's five minutes: density, threshold, conditionals, missing entries of a table of 30 measurements.

python examples/anomaly_in_a_table.py       a few seconds on one core; expect 0.89 of the malignant rows beyond a
                                            threshold that 5 % of held-out benign rows are beyond
"""

import torch

import fairway as fw


def main() -> float:
    """Fit benign rows; rows less likely than 95 % of held-out benign ones are unusual. Returns the share found."""
    data = fw.data.load("breast_cancer")
    benign, malignant = data.x[data.labels == 1], data.x[data.labels == 0]
    benign = benign[torch.randperm(len(benign), generator=torch.Generator().manual_seed(0))]
    train, held_out = benign[:250], benign[250:]

    model = fw.fit("gmm", train, components=5, seed=0)
    threshold = model.log_prob(held_out).quantile(0.05)
    found = float((model.log_prob(malignant) < threshold).double().mean())
    print(f"mean log p, held-out benign rows: {model.log_prob(held_out).mean():.2f} nats")
    print(f"unusual below {threshold:.2f} nats: {found:.2f} of the malignant rows")

    radius_known = torch.zeros(30, dtype=torch.bool)
    radius_known[0] = True
    given = model.conditional(held_out[0], observed=radius_known).sample(1_000, generator=0)
    names = data.column_names or tuple(f"column {i}" for i in range(30))
    print(f"{names[3]} given {names[0]} = {held_out[0, 0]:.1f}: {given[:, 3].mean():.0f} +- {given[:, 3].std():.0f}")

    gaps = train.clone()
    gaps[::4, 5] = float("nan")
    print(
        f"with a quarter of {names[5]} missing: {fw.fit('gmm', gaps, components=5).log_prob(held_out).mean():.2f} nats"
    )
    return found


if __name__ == "__main__":
    main()
