"""What the benchmarks of models share: training steps, their time and their memory."""

import statistics
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from printing import describe_cpu
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Step = Callable[[], object]


def choose_device() -> torch.device:
    """A GPU wherever one is at hand."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe_device(device: torch.device) -> dict[str, Any]:
    """The device by name, and on a CPU who else is using it."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device)}
    return {**describe_cpu(), "threads": torch.get_num_threads()}


class TrainingStep:
    """Forward, backward and AdamW on one batch that lies ready; as the trainer does them.

    Args:
        module (`nn.Module`): its parameters that require a gradient are trained.
        loss (callable): the loss, a scalar.
        precision (`torch.dtype`, *optional*): of autocast; `None` for none.
    """

    def __init__(
        self, module: torch.nn.Module, loss: Callable[[], torch.Tensor], precision: torch.dtype | None = None
    ) -> None:
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.module, self._loss, self._precision = module, loss, precision
        self.device = trained[0].device
        self._optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def __call__(self) -> None:
        """One step."""
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=self._precision, enabled=self._precision is not None):
            loss = self._loss()
        loss.backward()
        self._optimizer.step()

    def kept(self) -> Iterator[torch.Tensor]:
        """What lies in memory between two steps."""
        yield from self.module.parameters()
        yield from self.module.buffers()
        for state in self._optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, torch.Tensor))


def milliseconds(
    steps: Mapping[str, Step], device: torch.device, repeats: int, warm_up: int
) -> dict[str, list[float]]:
    """Times of the steps, which take turns, so that whatever else the machine does meets all of them.

    On a CPU with one thread it is the processor's time, which leaves out what others use of it.
    """
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(warm_up + repeats):
        for name, step in steps.items():
            _wait(device)
            start = clock()
            step()
            _wait(device)
            if turn >= warm_up:
                times[name].append(1e3 * (clock() - start))
    return times


def ratio(times: Mapping[str, list[float]], name: str, reference: str) -> float:
    """Median over the turns of what one costs in units of the other."""
    return statistics.median(a / b for a, b in zip(times[name], times[reference], strict=True))


def peak_mebibytes(step: TrainingStep) -> float:
    """Most memory that tensors take during a step: weights, optimiser and activations.

    On a GPU as torch's allocator counts it. On a CPU by following every tensor's storage from the operation that makes
    it to its end, which is exact and repeatable, but does not see what an operation takes and gives back inside, and
    runs compiled steps as if they were not. Take one step before, so that the optimiser's state is there.
    """
    step.module.zero_grad(set_to_none=True)  # of the step before
    if step.device.type == "cuda":
        torch.cuda.empty_cache()
        kept = sum(tensor.nbytes for tensor in step.kept())
        before = torch.cuda.memory_allocated(step.device)
        torch.cuda.reset_peak_memory_stats(step.device)
        step()
        _wait(step.device)
        # What other models on the card hold is not this one's.
        return (kept + torch.cuda.max_memory_allocated(step.device) - before) / 2**20
    with _Storages() as storages:
        for tensor in step.kept():
            storages.follow(tensor)
        step()
    return storages.peak / 2**20


class _Storages(TorchDispatchMode):
    """Follows the memory behind tensors; `peak` is the most that was alive at once, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.peak = 0, 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def follow(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._release, storage.nbytes())

    def _release(self, size: int) -> None:
        self.alive -= size

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.follow(leaf)
        return result


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
