"""Times NVIDIA DALI's loader on the CPU, in one thread; run by test_loader_speed with a Python that has DALI.

    python dali_loader.py FOLDER SIZE BATCH STEPS

Prints milliseconds an image by the clock and of processor time, after one batch that is not counted.
"""

from __future__ import annotations

import sys
import time

from nvidia.dali import fn, pipeline_def, types


@pipeline_def
def crops(folder: str, size: int):  # type: ignore[no-untyped-def]
    """A crop of 8 to 100 % of each image, mirrored half of the time."""
    files, _ = fn.readers.file(file_root=folder, random_shuffle=True, name="files")
    images = fn.decoders.image_random_crop(
        files,
        device="cpu",
        output_type=types.RGB,
        random_area=(0.08, 1.0),
        random_aspect_ratio=(3 / 4, 4 / 3),
    )
    images = fn.resize(images, size=(size, size), interp_type=types.INTERP_LINEAR, antialias=True)
    return fn.flip(images, horizontal=fn.random.coin_flip())


def main(folder: str, size: int, batch: int, steps: int) -> None:
    """Print the two times."""
    pipeline = crops(folder, size, batch_size=batch, num_threads=1, device_id=None, prefetch_queue_depth=1)
    pipeline.build()
    pipeline.run()
    began, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        pipeline.run()
    clock, processor = time.perf_counter() - began, time.process_time() - processor
    print(clock / (steps * batch) * 1000, processor / (steps * batch) * 1000)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
