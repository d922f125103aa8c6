"""Augmentation: other pictures that the same part could have given."""
