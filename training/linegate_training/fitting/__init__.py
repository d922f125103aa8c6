"""Fitting: from pixels and a split to trained weights."""
