"""An engineer's five minutes: sample pictures every N steps, a loop of one's own, a run folder that goes on later.

python examples/pictures_while_training.py  under a minute on one core; expect runs/watched/step-*.png to turn from
                                            noise into digits
"""

import sys
from pathlib import Path

import fairway as fw
from fairway.report.pictures import picture, png
from fairway.training.callbacks import Every
from fairway.training.fit import loop


def main(folder: str = "runs/watched", steps: int = 600, every: int = 200) -> list[Path]:
    """Train a flow on digits with a picture every `every` steps, then resume it; returns the pictures."""
    data, out, pictures = fw.data.load("digits"), Path(folder), []

    def draw(run: object) -> None:
        samples = run.model.sample(64, generator=0)
        pictures.append(out / f"step-{run.step:05d}.png")
        pictures[-1].write_bytes(png(picture(samples, data.event, data.x)))

    for run in loop("real_nvp", data, steps=steps, seed=0, out=out, callbacks=[Every(every, draw)]):
        if run.step % every == 0:  # the loop is yours: look, log, leave
            print(f"step {run.step}: best held-out loss so far {run.history.best:.3f}")

    again = fw.fit("real_nvp", data, steps=steps, seed=0, out=out, resume=True)  # finished: nothing is left to do
    print(f"{again.history.stopped}; {len(pictures)} pictures in {out}")
    return pictures


if __name__ == "__main__":
    main(*sys.argv[1:2])
