"""What simplifying a large model costs, beside its rivals: each in a process of its own, medians of several runs."""

from __future__ import annotations

from quantization import Work, compare

WORKS = (
    Work(
        "simplify 2.3 GB",
        ("clumsy",), "optkit-simplify", ("onnxsim-simplify", "onnxslim-simplify"), 8, 3,
    ),
)  # fmt: skip


if __name__ == "__main__":
    compare(WORKS, "simplify")
