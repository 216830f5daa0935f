import os

import pytest

from respectra import open_cube, open_image
from respectra.errors import FormatError
from respectra.guards.tables import read_table
from respectra.guards.text import parse_json, parse_object, parse_yaml, read_json, read_text


def test_json_is_read():
    assert parse_json(b'{"a": [1, 2.5, null]}', "x") == {"a": [1, 2.5, None]}
    assert parse_object("{}", "x") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("1" * 10_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "a JSON list, expected an object"),
    ],
)
def test_json_that_is_refused(text, message):
    with pytest.raises(FormatError, match=f"the header .*{message}"):
        parse_object(text, "the header")


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none", tmp_path, tmp_path / ("n" * 300), tmp_path / "a\0b"):
        with pytest.raises(FormatError):
            read_json(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 1000, "nested too deeply|not a YAML"),
        ("a: !!python/object/apply:os.system [id]", "not a YAML file"),
        ("a: &a [1]\n" + "".join(f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}"
         + f", *{'a' if not n else f'b{n - 1}'}]\n" for n in range(30)), "expands to more"),
        ("a: [", "not a YAML file"),
        ("a: 2024-99-99", "not a YAML file"),
        ("? [a]\n: b", "not a YAML file"),
    ],
)  # fmt: skip
def test_yaml_that_is_refused(text, message):
    with pytest.raises(FormatError, match=message):
        parse_yaml(text, "recipe.yaml")


def test_text_in_the_encodings_of_people(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        (tmp_path / "a.txt").write_text("März 5", encoding)
        assert read_text(tmp_path / "a.txt") == "März 5"
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    with pytest.raises(FormatError, match="a NUL"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2.5\n3,4\n",
        "a;b\n1,0;2,5\n3;4\n",
        "a\tb\n1\t2,5\n3\t4\n",
        "a b\n1   2.5\n3 4\n",
        "a, b\n1, 2.5\n3, 4\n",
        "# note\n% note\na,b,\n1,2.5,\n3,4,\n",
        '"a";"b"\n"1";"2,5"\n"3";"4"\n',
    ],
)
def test_tables_of_any_country(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    table = read_table(tmp_path / "a.csv")
    assert table.names == ("a", "b")
    assert table.values.tolist() == [[1.0, 2.5], [3.0, 4.0]]


@pytest.mark.parametrize("row", ["400,,0.2,0.3", "400,0.1,0.2,", "400,0.1,n/a,0.3"])
def test_a_first_row_that_lacks_a_number_is_no_heading(tmp_path, row):
    path = tmp_path / "a.csv"
    path.write_text(f"nm,R,G,B\n{row}\n410,0.1,0.2,0.3\n")
    with pytest.raises(FormatError, match=r"lacks a number: '400|differs from the first"):
        read_table(path)
    path.write_text("nm,1,2,3\n400,0.1,0.2,0.3\n410,0.1,0.2,0.3\n")
    assert read_table(path).names == ("nm", "1", "2", "3")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with pipes by name")
def test_pipes_and_devices_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(FormatError, match="pipe or a device"):
        read_json(tmp_path / "a.json")
    for name in ("b.png", "b.dng", "b.tif", "b.npy"):
        (tmp_path / name).symlink_to(tmp_path / "a.json")
        with pytest.raises(FormatError, match="pipe or a device"):
            open_image(tmp_path / name, encoding="srgb")
    for name in ("c.nc", "c.mat", "c.tif", "c.hdr", "c.npz"):
        (tmp_path / name).symlink_to(tmp_path / "a.json")
        with pytest.raises(FormatError, match=r"pipe or a device|is empty"):
            open_cube(tmp_path / name)
