"""Plug-in of pytest for the device's own tests under emulation (``-p tests.arm64.guest_profile``).

Everything takes ten times as long there and more, so that no single example of a property
test has a deadline, and there are fewer of them: how they are drawn does not depend on the
processor, and the workstation tries the rest.
"""

import hypothesis

hypothesis.settings.register_profile(
    "emulated",
    deadline=None,
    max_examples=20,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
