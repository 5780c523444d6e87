"""Times of operators in PyTorch, eager or compiled, from its own profiler.

An operator is what the model's code calls (`aten::conv2d`), with all that it calls in turn. It belongs to the innermost
module that is running; the code of an exported program has none. A compiled model calls kernels that the compiler wrote
for several operators (`cpp_fused_relu`), and operators where it wrote none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.runtimes.profiling import Arithmetic, Call, Operator
from optkit.runtimes.torch_eager import TorchSession, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_RUN = "optkit run"
_MODULE = "optkit module "
_KERNEL = re.compile(r"graph_(?P<graph>\d+)_(?P<type>cpp_\w+?)_(?P<number>\d+)")
"""What TorchInductor calls a kernel that it wrote, counted by graph and within it."""
_INT8 = ("quantized::", "quantized_decomposed::", "onednn::q", "aten::_int_mm")
_CONVERSIONS = ("aten::quantize_per", "aten::dequantize", "quantized_decomposed::quantize_per",
                "quantized_decomposed::dequantize_per")  # fmt: skip


@dataclass(slots=True)
class TorchProfile:
    """A session under PyTorch's profiler."""

    session: TorchSession
    profiler: Any

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the model once."""
        from torch.profiler import record_function

        with record_function(_RUN):
            return self.session.run(inputs)

    def finish(self) -> list[list[Call]]:
        """Returns the calls of each run."""
        self.profiler.stop()
        runs: dict[int, list[Call]] = {}
        for event in self.profiler.events():
            if event.name == _RUN:
                runs[event.id] = []
            elif (call := _call(event)) is not None:
                *_, outermost = _ancestors(event)
                runs.get(outermost.id, []).append(call)
        return list(runs.values())


def open_profiled(folder: Path, threads: int) -> TorchProfile:
    """Opens the artifact at `folder` as for timing and starts the profiler.

    Raises:
        UsageError, StepFailed, MissingDependency: As `torch_eager.open_session` does.
    """
    from torch.nn import Module

    session = open_session(folder, threads)
    if isinstance(session.module, Module):
        _mark_modules(session.module)
    return profiled(session)


def profiled(session: TorchSession) -> TorchProfile:
    """Starts the profiler around a session."""
    from torch.profiler import ProfilerActivity, profile

    profiler = profile(activities=[ProfilerActivity.CPU])
    profiler.start()
    return TorchProfile(session, profiler)


def _mark_modules(model: Any) -> None:  # noqa: ANN401  # torch is not imported here
    """Makes each module within `model` record when it runs."""
    from torch.profiler import record_function

    for name, module in model.named_modules():
        if module is model:
            continue
        running: list[Any] = []  # a list, as a module may run within itself

        def enter(*_: object, name: str = name, running: list[Any] = running) -> None:
            running.append(record_function(_MODULE + name))
            running[-1].__enter__()

        def leave(*_: object, running: list[Any] = running) -> None:
            running.pop().__exit__(None, None, None)

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave, always_call=True)


def _call(event: Any) -> Call | None:  # noqa: ANN401  # torch is not imported here
    """Returns the call that an event stands for, if the model's code made it and no other operator did."""
    parents = [parent.name for parent in _ancestors(event)]
    if not _is_operator(event.name) or any(map(_is_operator, parents)) or _RUN not in parents:
        return None
    if kernel := _KERNEL.fullmatch(event.name):
        name = f"graph {kernel['graph']}, kernel {kernel['number']}"
        return Call(Operator(name, kernel["type"], "other"), event.cpu_time_total / 1e3)
    module = next((name.removeprefix(_MODULE) for name in parents if name.startswith(_MODULE)), "")
    return Call(Operator(module, event.name, _arithmetic(event.name)), event.cpu_time_total / 1e3)


def _ancestors(event: Any) -> Iterator[Any]:  # noqa: ANN401  # torch is not imported here
    while event.cpu_parent is not None:
        event = event.cpu_parent
        yield event


def _is_operator(name: str) -> bool:
    return "::" in name or _KERNEL.fullmatch(name) is not None


def _arithmetic(operator: str) -> Arithmetic:
    if operator.startswith(_CONVERSIONS):
        return "conversion"
    return "int8" if operator.startswith(_INT8) else "other"
