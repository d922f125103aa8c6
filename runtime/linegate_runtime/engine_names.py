"""Names of engines that mean something everywhere; needs neither numpy nor an engine."""

DEFAULT_ENGINE = "tflite"

AUTO_ENGINE = "auto"
"""Takes the engine and threads that ``linegate bench`` proposed for this machine."""
