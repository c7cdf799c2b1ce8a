"""Backbones: plain `nn.Module`s from tensors to tensors, with no notion of probability."""
