"""GPTQ: rounds a weight row by row and lets the rows that follow make up for the error.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", arXiv 2210.17323.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optkit.quant.blocks import Blocks, dequantize, encode, find_scales, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optkit.quant.blocks import Form

_DAMPING = 0.01
_ATTEMPTS = 5


@dataclass(slots=True)
class Hessian:
    """The sum of `x^T x` over all rows of an input: half the second derivative of a layer's squared error.

    Attributes:
        size: K, the length of a row.
        total: float32 [K, K].
        rows: How many rows were added.
    """

    size: int
    total: NDArray[Any] = field(init=False)
    rows: int = 0

    def __post_init__(self) -> None:
        import numpy as np

        self.total = np.zeros((self.size, self.size), np.float32)

    def add(self, values: NDArray[Any]) -> None:
        """Adds float activations [..., K].

        Raises:
            ValueError: A value is NaN or infinite.
        """
        import numpy as np

        if not np.isfinite(values).all():
            raise ValueError("values are not finite")
        rows = values.reshape(-1, self.size).astype(np.float32, copy=False)
        self.total += rows.T @ rows
        self.rows += len(rows)


def gptq(weight: NDArray[Any], hessian: NDArray[Any], form: Form) -> Blocks:
    """Quantizes a matrix so that its product with inputs like those seen changes little.

    Args:
        weight: Finite floats [K, N].
        hessian: The sum of `x^T x`, [K, K].
        form: How to store it.

    Returns:
        The better of GPTQ's blocks and those rounded to nearest, by `product_error`.
    """
    plain, corrected = quantize(weight, form), _corrected(weight, hessian, form)
    return min(corrected, plain, key=lambda blocks: product_error(weight, blocks, hessian))


def product_error(weight: NDArray[Any], blocks: Blocks, hessian: NDArray[Any]) -> float:
    """Returns the squared error of `x @ w`, summed over the inputs that the Hessian was made of."""
    import numpy as np

    gap = dequantize(blocks)
    gap -= weight
    return float(np.sum((hessian @ gap) * gap, dtype=np.float64))


def _corrected(weight: NDArray[Any], hessian: NDArray[Any], form: Form) -> Blocks:
    import numpy as np

    factor = _inverse_factor(hessian)
    rest = np.array(weight, np.float32)
    depth, width = rest.shape
    codes = np.empty(rest.shape, np.uint8)
    shape = (-(-depth // form.block), width)
    scales, zeros = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    for index, start in enumerate(range(0, depth, form.block)):
        stop = min(start + form.block, depth)
        scale, zero = find_scales(rest[start:stop], form, clip=True)
        scales[index], zeros[index] = scale[0], zero[0]
        errors = np.empty((stop - start, width), np.float32)
        for row in range(start, stop):
            code = encode(rest[row], scale[0], zero[0], form)
            codes[row] = code
            error = (rest[row] - (code - zero[0]) * scale[0]) / factor[row, row]
            rest[row + 1 : stop] -= np.outer(factor[row, row + 1 : stop], error)
            errors[row - start] = error
        rest[stop:] -= factor[start:stop, stop:].T @ errors
    return Blocks(form, codes, scales, zeros)


def _inverse_factor(hessian: NDArray[Any]) -> NDArray[Any]:
    """Returns the upper Cholesky factor R of the damped Hessian's inverse, `H^-1 = R^T R`, as float32.

    With rows and columns in reverse, `H = L L^T`; back in order the factor is upper triangular, and R its inverse.

    Raises:
        LinAlgError: It holds NaN or infinity, or stays indefinite whatever the damping.
    """
    import numpy as np

    if not np.isfinite(hessian).all():
        raise np.linalg.LinAlgError("the Hessian of the inputs holds NaN or infinity")
    damped = hessian.astype(np.float64)
    diagonal = np.einsum("ii->i", damped)
    diagonal[diagonal <= 0] = 1.0  # an input that is always zero correlates with none
    step = _DAMPING * diagonal.mean()
    for attempt in range(_ATTEMPTS):
        diagonal += step * 10**attempt
        try:
            lower = np.linalg.cholesky(damped[::-1, ::-1])
        except np.linalg.LinAlgError:
            continue
        return np.linalg.inv(lower[::-1, ::-1]).astype(np.float32)
    raise np.linalg.LinAlgError("the Hessian of the inputs is not positive definite")
