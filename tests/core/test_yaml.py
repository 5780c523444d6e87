"""YAML as recipes and manifests are read: plain values, each with its place, and nothing that hurts."""

# ruff: noqa: E501  # whole lines, as a user sees them
from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from optkit.core import yaml
from optkit.core.errors import RecipeError
from optkit.core.yaml import Mark

if TYPE_CHECKING:
    from pathlib import Path

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)


def problems(text: str) -> list[str]:
    """Returns the mistakes of a text, whether they were raised or noted."""
    try:
        document = yaml.parse(text, "r.yaml")
    except RecipeError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in document.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-2", 0.01),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("007", 7),
        ("0x1F", 31),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+.INF", math.inf),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31 10:00:00", "2024-01-31 10:00:00"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n  12", "12"),
        (">-\n  12", "12"),
        ("[1, two]", [1, "two"]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_a_plain_scalar_reads_as_in_yaml_1_2(text: str, value: object) -> None:
    read = yaml.parse(f"key: {text}", "r.yaml").data["key"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(yaml.parse("a: .nan", "r.yaml").data["a"])


def test_a_huge_number_stays_a_number_that_json_can_hold() -> None:
    assert yaml.parse(f"a: {'9' * 5000}", "r.yaml").data["a"] == math.inf
    assert isinstance(yaml.parse(f"a: 0x{'f' * 5000}", "r.yaml").data["a"], str)
    assert yaml.parse("a: 9007199254740993", "r.yaml").data["a"] == 9007199254740993


def test_keys_stay_words() -> None:
    assert yaml.parse("1: a\nyes: b\n2024-01-01: c\n<<: d", "r.yaml").data == {
        "1": "a", "yes": "b", "2024-01-01": "c", "<<": "d",
    }  # fmt: skip


def test_every_value_and_key_remembers_its_place() -> None:
    document = yaml.parse("a: 1\nb:\n  - x\n  - {c: [2]}\n", "r.yaml")
    assert document.mark(("a",)) == Mark("r.yaml", 1, 4)
    assert document.mark(("b",), key=True) == Mark("r.yaml", 2, 1)
    assert document.mark(("b", 0)) == Mark("r.yaml", 3, 5)
    assert document.mark(("b", 1, "c"), key=True) == Mark("r.yaml", 4, 6)
    assert document.mark(("b", 1, "c", 0)) == Mark("r.yaml", 4, 10)


def test_columns_count_characters_not_bytes() -> None:
    assert yaml.parse("é: {ü: 1}", "r.yaml").mark(("é", "ü")) == Mark("r.yaml", 1, 8)


def test_what_was_not_written_is_placed_at_its_nearest_ancestor() -> None:
    document = yaml.parse("a:\n  b: 1\n", "r.yaml")
    assert document.mark(("a", "missing", "deep")) == Mark("r.yaml", 2, 3)
    assert document.mark(("nowhere",)) == Mark("r.yaml", 1, 1)
    assert document.mark(("a", "missing"), key=True) == Mark("r.yaml", 2, 3)


def test_windows_line_ends_and_a_byte_order_mark_are_fine() -> None:
    document = yaml.parse("\ufeffa: 1\r\nb: 2\r\n", "r.yaml")
    assert document.data == {"a": 1, "b": 2}
    assert document.mark(("b",)) == Mark("r.yaml", 2, 4)


def test_an_empty_document_is_none() -> None:
    assert yaml.parse("", "r.yaml").data is None
    assert yaml.parse("# only a comment\n", "r.yaml").data is None


def test_an_alias_repeats_the_value() -> None:
    document = yaml.parse("a: &x {deep: 1}\nb: *x\n", "r.yaml")
    assert document.data == {"a": {"deep": 1}, "b": {"deep": 1}}
    assert not document.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "r.yaml:3:1  a  duplicate key, first on line 1"),
        ("a:\n  b: 1\n  b: 2\n", "r.yaml:3:3  a.b  duplicate key, first on line 2"),
        ("? [a, b]\n: 1", "r.yaml:1:3  (whole file)  a key should be a word"),
        ("x: {? {a: 1} : 2}", "r.yaml:1:7  x  a key should be a word"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "r.yaml:1:4  a  the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed  (write the plain value)",
        ),
        (
            "a: !!binary aGk=",
            "r.yaml:1:4  a  the tag tag:yaml.org,2002:binary is not allowed  (write the plain value)",
        ),
        ("a: !!set {x}", "r.yaml:1:4  a  the tag tag:yaml.org,2002:set is not allowed  (write the plain value)"),
        ("a: !mine {x: 1}", "r.yaml:1:4  a  the tag !mine is not allowed  (write the plain value)"),
        ('a: "\\0"', "r.yaml:1:4  a  holds control characters"),
        ('a: "\\e[31m"', "r.yaml:1:4  a  holds control characters"),
        ('a: "\\ud800"', "r.yaml:1:4  a  holds control characters"),
        ('"\\e[31m": 1', "r.yaml:1:1  (whole file)  a key should be a word"),
        ("a: [1, 2\nb: 3", "r.yaml:2:2  (syntax)  expected ',' or ']', but got ':'"),
        ("a:\n\tb: 1", "r.yaml:2:1  (syntax)  found character '\\t' that cannot start any token"),
        ("a: *x", "r.yaml:1:4  (syntax)  found undefined alias 'x'"),
        ("a: 1\n---\nb: 2", "r.yaml:2:1  (syntax)  but found another document"),
        ("a: b: c", "r.yaml:1:5  (syntax)  mapping values are not allowed here"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    assert problems(text) == [message]


def test_control_characters_in_the_text_are_refused() -> None:
    (message,) = problems("a: \x00")
    assert message.startswith("r.yaml:1:1  (syntax)  unacceptable character #x0000")


def test_a_tag_does_not_run_code(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    problems(f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{proof}']]")
    assert not proof.exists()


def test_the_first_of_two_equal_keys_is_kept() -> None:
    assert yaml.parse("a: 1\na: 2", "r.yaml").data == {"a": 1}


def test_an_alias_bomb_is_refused() -> None:
    (message,) = problems(BOMB)
    assert message.endswith("too many values (do aliases multiply?)")


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {x: *a}", "a: &a {b: {c: *a}}"])
def test_a_recursive_alias_is_refused(text: str) -> None:
    (message,) = problems(text)
    assert message.endswith("nested too deeply")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60 + "]" * 60,
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "? " * 100_000,
        "\n".join(" " * depth + "a:" for depth in range(400)),
    ],
)
def test_deep_nesting_is_refused_without_a_crash(text: str) -> None:
    (message,) = problems(text)
    assert message.endswith("nested too deeply")


def test_reasonable_nesting_is_read() -> None:
    assert not problems("[" * 30 + "]" * 30)


def test_a_file_is_called_as_the_user_called_it(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("a: 1\na: 2")
    assert yaml.load(file).problems[0].file == str(file)
    assert yaml.load(file, "mine").problems[0].file == "mine"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^gone\.yaml  \(whole file\)  cannot be read: No such file or directory$"):
        yaml.load(tmp_path / "gone.yaml", "gone.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        yaml.load(tmp_path, "folder")


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes("name: Zoë".encode("latin-1"))
    with pytest.raises(RecipeError, match="cannot be read: is not UTF-8 text"):
        yaml.load(file)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    with file.open("wb") as writer:
        writer.truncate(1 << 40)  # sparse: a terabyte that takes no space
    with pytest.raises(RecipeError, match=f"larger than {yaml.MAX_BYTES} bytes"):
        yaml.load(file)


def test_a_value_for_set_reads_as_in_a_recipe() -> None:
    assert yaml.parse_value("1e-2") == 0.01
    assert yaml.parse_value("[a, 1]") == ["a", 1]
    assert yaml.parse_value("") is None


@pytest.mark.parametrize("text", ["[1", "!!python/name:os.system x", "{a: 1, a: 2}", "\udcff"])
def test_a_wrong_value_for_set_says_so(text: str) -> None:
    with pytest.raises(RecipeError, match="--set"):
        yaml.parse_value(text)


def test_check_raises_every_problem_in_order_and_once() -> None:
    document = yaml.parse("b: 1\na: 2\n", "r.yaml")
    document.check()
    for path in ("a", "b", "a"):
        document.problem((path,), "wrong")
    with pytest.raises(RecipeError) as caught:
        document.check()
    assert str(caught.value) == "r.yaml:1:4  b  wrong\nr.yaml:2:4  a  wrong"


def test_a_path_is_dotted() -> None:
    assert yaml.dotted(("steps", 1, "quantize")) == "steps[1].quantize"
    assert yaml.dotted(()) == "(whole file)"
    assert yaml.dotted((0, "a")) == "[0].a"


# Words that YAML 1.1 writes plain and 1.2 reads as numbers (`1e5`, `08`) mean different things in both.
_NUMBER_LIKE = re.compile(r"[-+.0-9].*")
words = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12).filter(
    lambda text: not _NUMBER_LIKE.fullmatch(text)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**28), 10**28)
    | st.floats(allow_nan=False)
    | words
    | st.dates().map(dt.date.isoformat)
)
plain_data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)


@given(data=plain_data, flow=st.sampled_from([True, False, None]), unicode=st.booleans())
def test_what_means_the_same_in_both_versions_survives_a_round_trip(data: object, *, flow: bool, unicode: bool) -> None:
    text = pyyaml.safe_dump(data, default_flow_style=flow, allow_unicode=unicode)
    document = yaml.parse(text, "r.yaml")
    assert not document.problems
    assert document.data == data


@given(text=st.text(max_size=60))
def test_any_text_gives_data_or_a_recipe_error(text: str) -> None:
    try:
        yaml.parse(text, "r.yaml")
    except RecipeError as error:
        assert error.problems  # noqa: PT017  # either may come


@pytest.mark.parametrize("text", ["123", "1.5", "true", "null"])
def test_a_value_said_to_be_text_is_text(text: str) -> None:
    assert yaml.parse(f"a: !!str {text}", "f").data == {"a": text}
