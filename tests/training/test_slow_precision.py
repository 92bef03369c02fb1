"""A run in bf16 on a processor without instructions for it says so before its first step."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.training.devices import slow_precision  # noqa: E402

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("able", "codes"), [({"avx2": True, "avx512_bf16": False}, ["bf16-slow"]), ({"amx_bf16": True}, [])]
)
def test_bf16_is_slow_where_the_processor_cannot_do_it(
    able: dict[str, bool], codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert [one.code for one in slow_precision("bf16", CPU)] == codes
    assert not slow_precision("fp32", CPU)
    assert not slow_precision("bf16", GPU)


def test_nothing_is_said_where_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not slow_precision("bf16", CPU)
