"""`--set path=value`: changes one value of a recipe before it is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core import yaml
from optkit.core.errors import UsageError
from optkit.core.validate import did_you_mean
from optkit.core.yaml import Mark

if TYPE_CHECKING:
    from optkit.core.yaml import Document, KeyPath

STEP_KEYS = ("from", "id")  # what a step may say besides its pass


def apply_override(document: Document, text: str) -> None:
    """Sets a value in `document`; a step is addressed by its id, as in `steps.quantize.ranges=kl`.

    Raises:
        UsageError: The text is not `path=value`, or the path leads nowhere.
    """
    dotted, sign, value_text = text.partition("=")
    keys = dotted.split(".")
    if not sign or not all(keys):
        raise UsageError(f"--set {text}: should read path=value", hint="for example --set steps.quantize.ranges=kl")
    value = yaml.parse_value(value_text)
    parent, path = _walk(document, keys, text)
    parent[keys[-1]] = value
    mark = Mark(f"--set {text}", 0, 0)
    for table in (document.values, document.keys):
        for known in [known for known in table if known[: len(path)] == path]:
            del table[known]
        table[path] = mark
        if path[0] != "steps":  # a section that only the override names; steps are never made up
            for length in range(1, len(path)):
                table.setdefault(path[:length], mark)


def _walk(document: Document, keys: list[str], text: str) -> tuple[dict[str, Any], KeyPath]:
    """Returns the mapping that holds the last key, and that key's full path."""
    here: Any = document.data
    path: KeyPath = ()
    for key in keys[:-1]:
        if path == ("steps",):
            here, path = _step(here, key, path, text)
        else:
            here[key] = {} if here.get(key) is None else here[key]
            here, path = here[key], (*path, key)
        if not isinstance(here, dict) and path != ("steps",):
            raise UsageError(f"--set {text}: {yaml.dotted(path)} is a value, not a section")
    if not isinstance(here, dict):
        raise UsageError(f"--set {text}: name a step's option", hint="for example --set steps.quantize.ranges=kl")
    return here, (*path, keys[-1])


def _step(steps: Any, wanted: str, path: KeyPath, text: str) -> tuple[dict[str, Any], KeyPath]:  # noqa: ANN401  # raw YAML
    names: list[str] = []
    for index, item in enumerate(steps if isinstance(steps, list) else ()):
        name, pass_name = step_name(item)
        names.append(str(name))
        if name != wanted or not pass_name:
            continue
        if isinstance(item, str):
            item = steps[index] = {pass_name: {}}  # noqa: PLW2901  # `- quantize` becomes `- quantize: {}`
        if item[pass_name] is None:
            item[pass_name] = {}
        return item[pass_name], (*path, index, pass_name)
    raise UsageError(f"--set {text}: no step {wanted!r}", hint=did_you_mean(wanted, names))


def step_name(item: Any) -> tuple[str, str]:  # noqa: ANN401  # raw YAML
    """Returns (id, pass name) of a step as written: `quantize`, `quantize: {…}` or `{id: gpu, quantize: {…}}`."""
    if isinstance(item, str):
        return item, item
    passes = [key for key in item if key not in STEP_KEYS] if isinstance(item, dict) else []
    pass_name = passes[0] if len(passes) == 1 else ""
    return (item.get("id", pass_name) if isinstance(item, dict) else ""), pass_name
