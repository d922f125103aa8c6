"""From a run folder to a bundle that passed its accuracy gate."""
