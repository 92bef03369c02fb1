"""mlimg: one YAML spec in, a reproducible image dataset and its trained model out.

The names below are what scripts and notebooks need; each is imported from its package when it is first used, so that
`import mlimg_build` costs nothing. `load_model` is there, too, where the extra `train` is installed.

>>> import mlimg_build
>>> mlimg_build.build.__module__
'mlimg_build.compiler.pipeline'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlimg_build.compiler.build_result import Built
    from mlimg_build.compiler.lock_stage import lock
    from mlimg_build.compiler.pipeline import build
    from mlimg_build.compiler.plan.plan import Plan
    from mlimg_build.compiler.plan_stage import plan
    from mlimg_build.dataset import Dataset, open_dataset, verify
    from mlimg_build.errors import MlimgError
    from mlimg_build.spec import Backend, LoadedSpec, load_backend, load_spec
    from mlimg_build.training import load_model as load_model

__all__ = [
    "Backend",
    "Built",
    "Dataset",
    "LoadedSpec",
    "MlimgError",
    "Plan",
    "build",
    "load_backend",
    "load_spec",
    "lock",
    "open_dataset",
    "plan",
    "verify",
]

__version__ = "0.2.0"

_HOMES = {
    "compiler.build_result": ("Built",),
    "compiler.lock_stage": ("lock",),
    "compiler.pipeline": ("build",),
    "compiler.plan_stage": ("plan",),
    "compiler.plan.plan": ("Plan",),
    "dataset": ("Dataset", "open_dataset", "verify"),
    "errors": ("MlimgError",),
    "spec": ("Backend", "LoadedSpec", "load_backend", "load_spec"),
    "training": ("load_model",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"mlimg_build.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
