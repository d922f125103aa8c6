"""From photographs to a trained model in a run folder."""
