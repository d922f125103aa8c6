"""What parts are judged by: a model, a policy, and what their rows say about both."""

import dataclasses

from linegate_bundle.bundle import Bundle
from linegate_runtime.model import Model
from linegate_runtime.policy import LinePolicy, PolicyOrigin


@dataclasses.dataclass(frozen=True)
class Stamp:
    """What the rows of a run share, as long as it judges by the same bundle.

    Attributes:
        run: identifies the run.
        policy: whose policy it is.
        labels: names in the bundle's order.
        bundle_name, bundle_version, bundle_sha256: of the bundle.
    """

    run: str
    policy: PolicyOrigin
    labels: tuple[str, ...]
    bundle_name: str
    bundle_version: str
    bundle_sha256: str

    @classmethod
    def of(cls, run: str, bundle: Bundle, policy: PolicyOrigin) -> "Stamp":
        """Return the stamp of a bundle."""
        manifest = bundle.manifest
        return cls(
            run=run,
            policy=policy,
            labels=tuple(label.name for label in manifest.labels),
            bundle_name=manifest.name,
            bundle_version=manifest.version,
            bundle_sha256=bundle.sha256,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """What parts are judged by; two are never equal, however alike they are.

    Attributes:
        model: open.
        policy: of the line, with this bundle; an object of this judge alone, by which the
            parts that began with it are known.
        stamp: for the rows.
    """

    model: Model
    policy: LinePolicy
    stamp: Stamp
