"""YAML read at node level: safe values only, and every one remembers where it stood.

Plain scalars follow the YAML 1.2 core schema (so `1e-2` is a number and `no` is a word). Tags that name types,
duplicate keys, aliases that multiply and non-string keys are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from optkit.core.errors import Problem, RecipeError

if TYPE_CHECKING:
    from pathlib import Path

    from yaml import MappingNode, Node, ScalarNode

MAX_BYTES = 1 << 18
MAX_NODES = 20_000
MAX_DEPTH = 40
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}

KeyPath = tuple[str | int, ...]


class Mark(NamedTuple):
    """A 1-based place in a file; line 0 means that it is in no file."""

    file: str
    line: int
    column: int


@dataclass(slots=True)
class Document:
    """Plain data and where each value and key of it was written."""

    file: str
    data: Any = None
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, path: KeyPath, *, key: bool = False) -> Mark:
        """Returns where `path` was written, or its nearest written ancestor."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Mark(self.file, 1, 1))

    def problem(self, path: KeyPath, message: str, hint: str = "", *, key: bool = False) -> None:
        """Notes a mistake at `path`; `key` points at the key instead of its value."""
        self.problems.append(Problem(*self.mark(path, key=key), dotted(path), message, hint))

    def check(self) -> None:
        """Raises RecipeError if any mistake was noted."""
        if self.problems:
            raise RecipeError(self.problems)


def dotted(path: KeyPath) -> str:
    """Returns `("steps", 1, "quantize")` as `steps[1].quantize`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "(whole file)"


def load(path: Path, name: str | None = None) -> Document:
    """Reads a YAML file.

    Args:
        path: The file.
        name: How messages call it; its path as given by default.

    Raises:
        RecipeError: It cannot be read, is too large, or is no YAML.
    """
    file = name or str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError([Problem(file, 1, 1, "(whole file)", f"larger than {MAX_BYTES} bytes")])
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise RecipeError([Problem(file, 0, 0, "(whole file)", f"cannot be read: {reason}")]) from None
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Returns the document in `text`; mistakes inside it are noted, not raised.

    Raises:
        RecipeError: The text is no YAML.
    """
    document = Document(file)
    document.data = _Reader(document).read(_compose(text, file))
    return document


def parse_value(text: str) -> object:
    """Returns a single value as it would stand in a recipe (for `--set`)."""
    document = parse(text, "--set")
    document.check()
    return document.data


def _compose(text: str, file: str) -> Node | None:
    import yaml

    try:
        # Not the C loader: its recursion is unchecked, so that deep nesting crashes the process.
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise RecipeError([Problem(file, *place, "(syntax)", error.problem or "is no YAML")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise RecipeError([Problem(file, 1, 1, "(syntax)", message)]) from None


class _Reader:
    """Turns nodes into plain data, noting places and mistakes in a document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0

    def read(self, node: Node | None, path: KeyPath = ()) -> Any:  # noqa: ANN401  # whatever the file holds
        import yaml

        if node is None:
            return None
        self.document.values[path] = self._mark(node)
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            message = "too many values (do aliases multiply?)" if self.nodes > MAX_NODES else "nested too deeply"
            self.document.problem(path, message)
            self.document.check()
        if node.tag not in _PLAIN_TAGS and not _is_plain(node):
            self.document.problem(path, f"the tag {node.tag} is not allowed", "write the plain value")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if _UNPRINTABLE.search(node.value):
            self.document.problem(path, "holds control characters")
            return None
        return _scalar(node)  # type: ignore[arg-type]  # nothing else is left

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or _UNPRINTABLE.search(key):
                where = self._mark(key_node)
                self.document.problems.append(Problem(*where, dotted(path), "a key should be a word"))
                continue
            place = (*path, key)
            if key in result:
                first = self.document.keys[place]
                self.document.keys[place] = self._mark(key_node)
                self.document.problem(place, f"duplicate key, first on line {first.line}", key=True)
                continue
            self.document.keys[place] = self._mark(key_node)
            result[key] = self.read(value_node, place)
        return result

    def _mark(self, node: Node) -> Mark:
        return Mark(self.document.file, node.start_mark.line + 1, node.start_mark.column + 1)


def _is_plain(node: Node) -> bool:
    """Whether an unquoted scalar merely looks like a YAML 1.1 type that we read as a word (dates, `=`, `<<`)."""
    import yaml

    implicit = ("timestamp", "value", "merge")
    return isinstance(node, yaml.ScalarNode) and node.tag in {f"tag:yaml.org,2002:{name}" for name in implicit}


def _is_said_to_be_text(node: ScalarNode) -> bool:
    """Whether the tag is `!!str` although the plain text is a number, a word like `true`, or nothing."""
    import yaml

    resolver: Any = yaml.resolver.Resolver  # its stubs have no types
    plain = resolver().resolve(yaml.ScalarNode, node.value, (True, False))
    return bool(node.tag == "tag:yaml.org,2002:str" and plain != node.tag)


def _scalar(node: ScalarNode) -> object:
    text: str = node.value
    if node.style is not None or _is_said_to_be_text(node):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= 30:  # noqa: PLR2004  # int() of huge texts is quadratic, and JSON refuses to print them
        if _INT.fullmatch(text):
            return int(text)
        if _HEX.fullmatch(text):
            return int(text, 16)
    return float(text) if _FLOAT.fullmatch(text) else text
