"""Copies to a GPU beside its computation: what may run before what, with streams that only remember their order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from mlimg_build.training import devices  # noqa: E402
from mlimg_build.training.loop.batch_parts import even_parts  # noqa: E402
from mlimg_build.training.loop.device_feed import DeviceFeed  # noqa: E402

CPU = torch.device("cpu")
CHANNELS_LAST = torch.channels_last


@dataclass(frozen=True)
class Work:
    """Work given to a stream: its number there, and how much of each stream is done before it ends."""

    stream: str
    number: int
    clock: dict[str, int]

    def is_after(self, other: Work) -> bool:
        return self.clock.get(other.stream, 0) >= other.number


@dataclass
class Stream:
    name: str = "side"
    clock: dict[str, int] = field(default_factory=dict)

    def work(self) -> Work:
        self.clock[self.name] = self.clock.get(self.name, 0) + 1
        return Work(self.name, self.clock[self.name], dict(self.clock))

    def wait_event(self, event: Mark) -> None:
        for name, number in event.clock.items():
            self.clock[name] = max(number, self.clock.get(name, 0))

    def wait_stream(self, other: Stream) -> None:
        self.wait_event(Mark(dict(other.clock)))


@dataclass
class Mark:
    """An event: what was done when it was recorded."""

    clock: dict[str, int] = field(default_factory=dict)

    def record(self, stream: Stream) -> None:
        self.clock = dict(stream.clock)


class Cuda(TorchDispatchMode):
    """What `DeviceFeed` uses of `torch.cuda`; remembers copies and the order in which work was given."""

    Stream, Event = Stream, Mark

    def __init__(self) -> None:
        super().__init__()
        self.main = self._current = Stream("main")
        self.copies: list[Work] = []
        self.given: list[Work] = []
        self.held: list[int] = []

    def current_stream(self) -> Stream:
        return self._current

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        self._current = stream
        yield
        self._current = self.main

    def compute(self) -> Work:
        self.given.append(self.main.work())
        return self.given[-1]

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.name() == "aten::copy_":
            assert self._current.name == "side"
            assert args[2] is True  # does not wait
            self.copies.append(self._current.work())
            self.given.append(self.copies[-1])
            self.held.append(args[0].untyped_storage().data_ptr())
        return operation(*args, **(kwargs or {}))


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    monkeypatch.setattr(devices, "pinned", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    return Cuda()


def batch(images: int, side: int = 4, seed: int = 0) -> Any:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=random)


def test_a_part_is_copied_while_the_one_before_it_is_computed_and_after_the_one_whose_place_it_takes(
    cuda: Cuda,
) -> None:
    feed, computed = DeviceFeed(CPU, CHANNELS_LAST, cuda), []
    with cuda:
        for number in range(3):
            images = batch(10, seed=number)
            for part, there in feed.parts(images, even_parts(10, 3)):
                assert torch.equal(there, images[part])
                assert there.is_contiguous(memory_format=CHANNELS_LAST)
                computed.append(cuda.compute())
    copies = cuda.copies
    assert len(copies) == len(computed) == 12
    assert all(work.is_after(copy) for work, copy in zip(computed, copies, strict=True))
    places_taken = [(copies[i + 2], computed[i]) for i in range(10)]
    assert all(copy.is_after(work) for copy, work in places_taken)
    settled = 4  # new memory waits for what was in it before
    assert not any(copies[i + 1].is_after(computed[i]) for i in range(settled, 11))
    in_a_batch = [i for i in range(11) if i % 4 != 3]
    assert all(cuda.given.index(copies[i + 1]) < cuda.given.index(computed[i]) for i in in_a_batch)
    assert len(set(cuda.held[settled:])) == 2


def test_a_batch_in_one_part_is_copied_while_the_batch_before_it_is_computed(cuda: Cuda) -> None:
    feed, computed = DeviceFeed(CPU, CHANNELS_LAST, cuda), []
    with cuda:
        for number in range(6):
            for _, there in feed.parts(batch(4, seed=number), even_parts(4, 4)):
                assert torch.equal(there, batch(4, seed=number))
                computed.append(cuda.compute())
    assert all(work.is_after(copy) for work, copy in zip(computed, cuda.copies, strict=True))
    assert all(cuda.copies[i + 2].is_after(computed[i]) for i in range(4))
    assert not any(cuda.copies[i + 1].is_after(computed[i]) for i in range(2, 5))
    assert len(set(cuda.held)) == 2


def test_images_of_another_size_get_new_memory_after_all_work_before(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, stream: freed.append(tuple(tensor.shape))
    )
    feed, computed = DeviceFeed(CPU, CHANNELS_LAST, cuda), []
    with cuda:
        for side in (4, 4, 6, 6):
            for _ in feed.parts(batch(2, side), even_parts(2, 2)):
                computed.append(cuda.compute())
    assert freed == [(2, 3, 4, 4)] * 2
    assert cuda.copies[2].is_after(computed[1])


def test_without_a_gpu_parts_are_the_batch_itself() -> None:
    images = batch(5)
    parts = list(DeviceFeed(CPU, torch.contiguous_format).parts(images, even_parts(5, 2)))
    assert [len(there) for _, there in parts] == [1, 2, 2]
    assert all(
        there.untyped_storage().data_ptr() == images.untyped_storage().data_ptr() for _, there in parts
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_computes_with_the_images_of_each_part_while_others_are_copied() -> None:
    gpu = torch.device("cuda")
    feed, sums, wanted = DeviceFeed(gpu, CHANNELS_LAST, torch.cuda), [], []
    before = torch.cuda.memory_allocated()
    for number in range(6):
        images = batch(64, 224 if number < 3 else 192, seed=number).pin_memory()
        for part, there in feed.parts(images, even_parts(64, 24)):
            torch.cuda._sleep(20_000_000)  # so that copies come long before what they must wait for
            sums.append(there.long().sum())
            wanted.append(images[part].long().sum().item())
    held = torch.cuda.memory_allocated() - before
    assert [one.item() for one in sums] == wanted
    assert held < 3 * 22 * 3 * 224 * 224
