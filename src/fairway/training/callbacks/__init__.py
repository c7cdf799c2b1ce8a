"""What a user may hook into a run: progress, pictures every N steps, TensorBoard, W&B, anything.

A callback sees the `Run` (its model, step, history) after a step, a log row or an evaluation, and at the end. It must
not draw from the run's noise; its own draws take their own seed.
"""

from fairway.training.callbacks.base import Callback, Every
from fairway.training.callbacks.progress import ProgressBar
from fairway.training.callbacks.tensorboard import TensorBoard
from fairway.training.callbacks.tracker import Tracker
from fairway.training.callbacks.wandb import WandB

__all__ = ("Callback", "Every", "ProgressBar", "TensorBoard", "Tracker", "WandB")
