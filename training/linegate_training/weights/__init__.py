"""Pretrained weights: where they are, and how their files are read without PyTorch."""
