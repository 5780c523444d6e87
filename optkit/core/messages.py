"""What other libraries say, as one line that says nothing of this machine."""

from __future__ import annotations

import re

_ONNXRUNTIME_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_PLACE_IN_CODE = re.compile(r"[\w./-]+\.(?:cc|h|cpp):\d+ [^()]*\([^()]*\)(?: const)? ")
_FOLDERS = re.compile(r"(/[^\s:/]+)+/(?=[^\s:/]+)")


def short_message(error: Exception) -> str:
    """Returns the first line of an error, without onnxruntime's code and sources and the machine's folders."""
    text = _ONNXRUNTIME_CODE.sub("", str(error).strip()).strip() or type(error).__name__
    return _FOLDERS.sub("", _PLACE_IN_CODE.sub("", text.splitlines()[0]))
