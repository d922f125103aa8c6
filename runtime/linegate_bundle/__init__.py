"""The contract between workstation and device: bundle, preprocessing, decision.

Both sides import this package; it imports no other part of linegate.
"""
