"""How long after an epoch's last sample arrived its answer is there, on one core. One JSON line.

    python benchmarks/stream.py [--trials 500] [--encoder eeg_project --channels 17] [--lsl]

A cap of 63 electrodes at 1000 Hz, in blocks of 10 ms, an event every 200 ms, so that epochs overlap as in
THINGS-EEG2; the checkpoint's trials have 250 samples at 250 Hz, a baseline, and are whitened. The model has no image
side (`vision=False`), default settings and random weights; the gallery has 200 pictures. An answer is that for the
epoch and that for the mean of its event so far. `median_ms`, `p99_ms`: from the arrival of the block with the epoch's
last sample to the answer; `cpu` the processor's time in between, which leaves out what others use of it.

Without `--lsl` blocks come from memory, one after the other. With it another process sends them in real time through
the Lab Streaming Layer, and `from_push` is from the moment when that process handed the block to the layer: the
layer's own way is in it, the time that samples waited for their block is not.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from measuring import describe_device
from printing import print_line
from transformers import CLIPImageProcessorPil

from neuroclip_hf import NeuroCLIPConfig, NeuroCLIPModel, NeuroCLIPProcessor
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.galleries import EmbeddedGallery, Gallery
from neuroclip_hf.live import (
    Answer,
    Block,
    LiveSession,
    LiveSettings,
    Marker,
    RunningDecoder,
    StreamForm,
    StreamLost,
)
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor

RATE, BLOCK = 1000, 10  # Hz, samples
EVERY = 200  # samples from event to event
SAMPLES, TRIAL_RATE = 250, 250.0
PICTURES, DIMENSION = 200, 512
WARM_UP = 20
GOAL_MS = 5.0


def make_decoder(encoder: str, channels: int) -> RunningDecoder:
    """A checkpoint of recordings alone, with random weights and a gallery of random embeddings."""
    torch.manual_seed(0)
    names = list(FACTS.channels if channels == len(FACTS.channels) else FACTS.occipital_channels[:channels])
    epochs = EpochSettings(window=(0.0, 1.0), baseline=(-0.2, 0.0), sampling_rate=TRIAL_RATE)
    form = BrainFeatureExtractor(
        channel_names=names,
        sampling_rate=TRIAL_RATE,
        num_timesteps=SAMPLES,
        unit="sd",
        epochs=epochs.to_dict(),
        whitening=(np.eye(channels) * 1e5).tolist(),
    )
    settings = {"model_type": encoder, "num_channels": channels, "num_timesteps": SAMPLES}
    model = NeuroCLIPModel(NeuroCLIPConfig(encoder_config=settings, projection_dim=DIMENSION, vision=False)).eval()
    gallery = Gallery(tuple(f"{number:03d}" for number in range(PICTURES)), None, tuple(map(str, range(PICTURES))))
    embedded = EmbeddedGallery(gallery, torch.randn(PICTURES, DIMENSION))
    return RunningDecoder(model, NeuroCLIPProcessor(form, CLIPImageProcessorPil()), embedded)


def blocks(count: int, begin: float) -> Iterator[tuple[np.ndarray, np.ndarray, list[str]]]:
    """Noise with an offset, as a cap sends it: samples, times and the names of events at the first of them."""
    generator = np.random.default_rng(0)
    for number in range(count):
        values = generator.standard_normal((BLOCK, len(FACTS.channels))) * 10.0 + 2000.0
        event, since = divmod(number * BLOCK - RATE, EVERY)
        yield (
            values,
            begin + (number * BLOCK + np.arange(BLOCK)) / RATE,
            [f"{event % PICTURES:03d}"] * (since == 0 and event >= 0),
        )


class MemorySource:
    """Blocks one after the other, as fast as they are read."""

    def __init__(self, count: int) -> None:
        self._blocks = blocks(count, 0.0)
        self.cpu = 0.0

    def connect(self, timeout: float) -> StreamForm:
        """At once."""
        names = FACTS.channels
        return StreamForm("cap", names, ("eeg",) * len(names), ("uV",) * len(names), float(RATE), "events")

    def read(self, timeout: float) -> Block:
        """The next block."""
        found = next(self._blocks, None)
        if found is None:
            raise StreamLost("The stream cap has ended")
        values, times, names = found
        self.cpu = time.process_time()
        return Block(values, times, time.perf_counter(), [Marker(name, times[0]) for name in names])

    def close(self) -> None:
        """Nothing is open."""


def send(name: str, count: int) -> None:
    """Be the amplifier: push a block every 10 ms, stamped when it is pushed."""
    from mne_lsl.lsl import StreamInfo, StreamOutlet, local_clock

    samples = StreamInfo(name, "EEG", len(FACTS.channels), RATE, "float32", name)
    samples.set_channel_names(list(FACTS.channels))
    samples.set_channel_types("eeg")
    samples.set_channel_units("microvolts")
    outlet = StreamOutlet(samples, BLOCK)
    events = StreamOutlet(StreamInfo(f"{name}-events", "Markers", 1, 0.0, "string", name))
    outlet.wait_for_consumers(60)
    time.sleep(1.0)  # the reader opens the other stream
    begin = local_clock()
    for values, times, names in blocks(count, begin):
        time.sleep(max(0.0, times[-1] - local_clock()))
        # Stamps are of the push: the reader measures from there.
        now = local_clock()
        outlet.push_chunk(values.astype(np.float32), timestamp=now)
        for event in names:
            events.push_sample([event], timestamp=now - (BLOCK - 1) / RATE)
    time.sleep(1.0)


class TimedSource:
    """Remembers when the block that was read last had been pushed, and the processor's time when it came."""

    def __init__(self, name: str) -> None:
        from neuroclip_hf.live.lsl import LSLSource

        self._source = LSLSource(name, f"{name}-events")
        self.connect, self.close = self._source.connect, self._source.close
        self.pushed = self.cpu = 0.0

    def read(self, timeout: float) -> Block:
        """What has arrived."""
        block = self._source.read(timeout)
        if len(block.times):
            self.pushed, self.cpu = float(block.times[-1]), time.process_time()
        return block


def blocks_for(trials: int) -> int:
    """How many hold so many events, a second before them and one behind."""
    return (RATE + EVERY * trials + RATE) // BLOCK


def percentiles(seconds: list[float]) -> dict[str, float]:
    kept = 1e3 * np.array(seconds[WARM_UP:] if len(seconds) > 2 * WARM_UP else seconds)
    return {"median_ms": round(float(np.median(kept)), 3), "p99_ms": round(float(np.percentile(kept, 99)), 3)}


def run_memory(decoder: RunningDecoder, trials: int) -> dict[str, Any]:
    source = MemorySource(blocks_for(trials))
    session = LiveSession(source, decoder, LiveSettings(wait=0.01))
    latencies, cpu = [], []
    for item in session.run():
        if isinstance(item, Answer):
            cpu.append(time.process_time() - source.cpu)
            latencies.append(item.latency)
    return {**percentiles(latencies), "cpu": percentiles(cpu), "answers": len(latencies)}


def run_lsl(decoder: RunningDecoder, trials: int) -> dict[str, Any]:
    from mne_lsl.lsl import local_clock

    name = f"neuroclip-benchmark-{os.getpid()}"
    sender = multiprocessing.get_context("spawn").Process(target=send, args=(name, blocks_for(trials)))
    sender.start()
    source = TimedSource(name)
    session = LiveSession(source, decoder, LiveSettings(wait=60.0))
    latencies, cpu, from_push = [], [], []
    try:
        for item in session.run():
            if isinstance(item, Answer):
                from_push.append(local_clock() - source.pushed)
                cpu.append(time.process_time() - source.cpu)
                latencies.append(item.latency)
            if session.answers + session.left_out >= trials:
                break
    finally:
        sender.terminate()
        sender.join()
    counts = {"answers": len(latencies), "left_out": session.left_out}
    return {**percentiles(latencies), "cpu": percentiles(cpu), "from_push": percentiles(from_push), **counts}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500, help="events; the first 20 answers are not counted")
    parser.add_argument("--encoder", default="eeg_project", help="name of the encoder")
    parser.add_argument("--channels", type=int, default=17, help="that the checkpoint reads: up to 17, or 63")
    parser.add_argument("--lsl", action="store_true", help="through the Lab Streaming Layer, in real time")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    place = describe_device(torch.device("cpu"))
    decoder = make_decoder(arguments.encoder, arguments.channels)
    found = (run_lsl if arguments.lsl else run_memory)(decoder, arguments.trials)
    cap = {"electrodes": len(FACTS.channels), "sampling_rate": RATE, "block_ms": 1e3 * BLOCK / RATE}
    facts = {"encoder": arguments.encoder, "channels": arguments.channels, "gallery": PICTURES, "cap": cap}
    through = "lsl" if arguments.lsl else "memory"
    held = {"goal_ms": GOAL_MS, "within_goal": found["p99_ms"] <= GOAL_MS}
    print_line("stream", place, {"through": through, **facts, **found, **held})


if __name__ == "__main__":
    main()
