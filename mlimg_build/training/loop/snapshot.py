"""A copy of the state of a run, to be written while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import torch
from torch import Tensor

__all__ = ["Snapshot"]


class Snapshot:
    """A copy of nested dicts and lists in the memory of the host, which later steps do not change.

    Tensors of a GPU are copied in the order of its work, and this process does not wait for them.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._copied: Any = None
        self._on_gpu = False
        self._state: dict[str, Any] = dict(self._copy(state))
        if self._on_gpu:
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def read(self) -> dict[str, Any]:
        """Return the copy; wait until it is whole."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._state

    def _copy(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._copy_tensor(value.detach())
        if isinstance(value, Mapping):
            made: Any = copy(value)  # the versions of modules are an attribute of a state dict
            for name, one in value.items():
                made[name] = self._copy(one)
            return made
        return type(value)(map(self._copy, value)) if type(value) in (list, tuple) else value

    def _copy_tensor(self, tensor: Tensor) -> Tensor:
        if tensor.device.type == "cpu":
            return tensor.clone()
        self._on_gpu = True
        host = torch.empty_like(tensor, device="cpu", pin_memory=True)
        return host.copy_(tensor, non_blocking=True)
