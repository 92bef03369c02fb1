"""Finds what would make a process wait for its GPU, on a machine without one.

Torch's device "meta" stands for the GPU: it computes shapes alone and has no values, so that nothing can be read back
unnoticed, and code that asks `device.type == "cpu"` takes the path of a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mlimg_build.training import devices

__all__ = ["META", "Waits"]

META = torch.device("meta")
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
MAKING = (torch.tensor, torch.as_tensor, torch.from_numpy)


class Waits:
    """Counts waits inside `counted`: values read, shapes that depend on values, copies for which the host stays."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: list[str] = []
        self._pinned: list[Tensor] = []
        patch.setattr(devices, "pinned", self.pin)
        patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the device
        optimizer = sys.modules["torch.optim.optimizer"]  # torch.optim hides the module
        patch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["meta"])

    def pin(self, tensor: Tensor) -> Tensor:
        """Return the tensor, which counts as pinned memory from now on."""
        self._pinned.append(tensor)
        return tensor

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Count what is done inside the block; yields the list of what was found."""
        with _Functions(self.found), _Operations(self.found, self._is_pinned):
            yield self.found

    def _is_pinned(self, tensor: Tensor) -> bool:
        place = tensor.untyped_storage().data_ptr()
        return any(one.untyped_storage().data_ptr() == place for one in self._pinned)


class _Functions(TorchFunctionMode):
    """Sees `torch.tensor(…, device=GPU)`, which hides its copy from a dispatch mode."""

    def __init__(self, found: list[str]) -> None:
        self._found = found

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        device = (kwargs or {}).get("device")
        if function in MAKING and device is not None and torch.device(device).type != "cpu":
            self._found.append(f"{function.__name__} on the device")
        return function(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str], is_pinned: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self._found, self._is_pinned = found, is_pinned

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation.name().partition(".")[0]
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if name == "aten::_local_scalar_dense" and args[0].is_meta:
            self._found.append("a value is read")
            return 0.0 if args[0].is_floating_point() else 0
        if name in INDEXING and args[0].is_meta:
            indices = [one for one in args[1] if one is not None]
            if any(one.dtype in (torch.bool, torch.uint8) for one in indices):
                raise AssertionError("a mask selects entries: their number is read")
            if any(not one.is_meta for one in indices):
                self._found.append("indices are copied")
        if name in (
            "aten::nonzero",
            "aten::masked_select",
            "aten::_unique2",
            "aten::repeat_interleave",
        ) and any(one.is_meta for one in tensors):
            raise AssertionError(f"{name}: the shape of its result is read")
        if name == "aten::_to_copy":
            self._copied(
                args[0], torch.device(kwargs.get("device") or args[0].device), kwargs.get("non_blocking")
            )
        if name == "aten::copy_":
            self._copied(args[1], args[0].device, args[2] if len(args) > 2 else kwargs.get("non_blocking"))
        if name == "aten::_fused_sgd_":
            return None  # "meta" has none
        return operation(*args, **kwargs)

    def _copied(self, source: Tensor, device: torch.device, non_blocking: bool | None) -> None:
        if source.device.type == device.type:
            return
        if not non_blocking:
            self._found.append(f"{tuple(source.shape)} are copied from {source.device} to {device}")
        elif not self._is_pinned(source):
            self._found.append(f"{tuple(source.shape)} are copied to {device} from memory that is not pinned")
