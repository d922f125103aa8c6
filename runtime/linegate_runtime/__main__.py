"""``python -m linegate_runtime`` is ``linegate``."""

import sys

from linegate_runtime.cli import main

sys.exit(main())
