"""The whole line on real solar cells, from photographs to live verdicts."""
