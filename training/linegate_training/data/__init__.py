"""Photographs: found, checked, grouped, split, and brought to the network's size once."""
