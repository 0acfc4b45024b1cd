"""Labels from XML: Pascal VOC's files and CVAT's, read without expanding or fetching anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import LabelsInvalid
from lookalike.label_normalisation import labels_digest
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json.documents import MAX_DEPTH
from lookalike.labels.labelling import Unusable
from lookalike.labels.xml.documents import parse_xml
from lookalike.labels.xml.files import XmlFile, read_xml_files
from tests.labelled_tree import fields, read, reasons, tree


def voc(filename: str, *names: str, more: str = "") -> str:
    objects = "".join(
        f"<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>0</difficult>"
        f"<bndbox><xmin>1</xmin></bndbox>{more}</object>"
        for name in names
    )
    return f"<annotation><folder>x</folder><filename>{filename}</filename>{objects}</annotation>"


def test_the_objects_of_pascal_voc_are_the_label(tmp_path: Path) -> None:
    tree(tmp_path, {f"JPEGImages/{name}.jpg": None for name in ("001", "002", "003")})
    tree(tmp_path, {"Annotations/001.xml": voc("001.jpg", "stain", "hole", "stain")})
    tree(tmp_path, {"Annotations/002.xml": voc("002.jpg")})
    labelling = read(tmp_path, "auto")
    assert labelling.mode == "xml"
    assert fields(tmp_path, labelling) == {
        "JPEGImages/001.jpg": {"label": "hole, stain"},
        "JPEGImages/002.jpg": {},
    }
    assert labelling.unlabelled == [tmp_path / "JPEGImages/003.jpg"]
    metadata = labelling.labels[tmp_path / "JPEGImages/001.jpg"].metadata
    assert [each["name"] for each in metadata["annotation"]["object"]] == ["stain", "hole", "stain"]


@pytest.mark.parametrize("filename", ["001.jpg", "001", "old.png", "..\\img\\001.JPG", "", "IMG_9.jpeg"])
def test_the_own_name_of_a_file_counts_where_filename_is_wrong(tmp_path: Path, filename: str) -> None:
    tree(tmp_path, {"JPEGImages/001.jpg": None, "Annotations/001.xml": voc(filename, "hole")})
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"JPEGImages/001.jpg": {"label": "hole"}}
    assert labelling.remarks == []


def test_filename_counts_where_the_own_name_is_no_images_and_a_contradiction_is_remarked(
    tmp_path: Path,
) -> None:
    tree(tmp_path, {"img/a.jpg": None, "img/b.jpg": None, "xml/label_1.xml": voc("a.jpg", "hole")})
    assert fields(tmp_path, read(tmp_path, "auto")) == {"img/a.jpg": {"label": "hole"}}
    tree(tmp_path, {"xml/b.xml": voc("a.jpg", "stain")})
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling)["img/b.jpg"] == {"label": "stain"}
    assert [remark.text for remark in labelling.remarks] == [
        "names 'a.jpg' and is called as 'b.jpg' is, which it was taken for"
    ]


def test_attributes_and_image_sets_are_fields(tmp_path: Path) -> None:
    more = "<attributes><attribute><name>depth</name><value>3</value></attribute></attributes>"
    tree(tmp_path, {"JPEGImages/a.jpg": None, "JPEGImages/b.jpg": None})
    tree(tmp_path, {"Annotations/a.xml": voc("a.jpg", "hole", more=more), "Annotations/b.xml": voc("b.jpg")})
    tree(tmp_path, {"ImageSets/Main/train.txt": "a\n", "ImageSets/Main/hole_val.txt": "b 1\n"})
    tree(tmp_path, {"ImageSets/Main/val.txt": "b\n", "ImageSets/Main/trainval.txt": "a\nb\n"})
    assert fields(tmp_path, read(tmp_path, "auto")) == {
        "JPEGImages/a.jpg": {"label": "hole", "depth": 3, "split": "train"},
        "JPEGImages/b.jpg": {"split": "val"},
    }


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><name>x</name></task></meta>
  <image id="0" name="a/1.jpg" subset="Train" width="5" height="5">
    <box label="hole" source="manual" occluded="0" xtl="1"><attribute name="depth">3</attribute></box>
    <polygon label="stain" points="1,2;3,4"><attribute name="depth">5</attribute></polygon>
  </image>
  <image id="1" name="a/2.jpg">
    <tag label="good" source="manual"><attribute name="checked">true</attribute></tag>
  </image>
  <image id="2" name="lost.jpg"/>
  <image id="3" name="a/3.jpg"/>
</annotations>"""


def test_cvat_for_images(tmp_path: Path) -> None:
    tree(tmp_path, {f"a/{n}.jpg": None for n in (1, 2, 3)} | {"annotations.xml": CVAT})
    labelling = read(tmp_path, "auto")
    assert labelling.mode == "xml"
    assert fields(tmp_path, labelling) == {
        "a/1.jpg": {"label": "hole, stain", "depth": "3, 5", "split": "train"},
        "a/2.jpg": {"label": "good", "checked": True},
        "a/3.jpg": {},
    }
    assert reasons(tmp_path, labelling) == [("annotations.xml", "image 3: there is no image 'lost.jpg'")]


def test_a_video_of_cvat_is_said_not_to_be_read(tmp_path: Path) -> None:
    tree(
        tmp_path, {"a.jpg": None, "v.xml": "<annotations><track label='x'/><track label='y'/></annotations>"}
    )
    assert reasons(tmp_path, read(tmp_path, "auto")) == [
        ("v.xml", "has 2 tracks, of a video (CVAT): these are not read")
    ]


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("euc-kr", "cp949"), ("utf-8", "cp949"), ("utf-16", "utf-16"), ("", "utf-8-sig")],
)
def test_the_encoding_is_what_the_file_says_or_else_what_it_is(
    tmp_path: Path, declared: str, encoding: str
) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    content = (head + voc("부품.jpg", "구멍", "긁힘")).encode(encoding)
    tree(tmp_path, {"부품.jpg": None, "부품.xml": content})
    assert fields(tmp_path, read(tmp_path, "auto")) == {"부품.jpg": {"label": "구멍, 긁힘"}}


LAUGHS = "<!DOCTYPE a [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(97 + n + 1)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{LAUGHS}]><annotation>&j;</annotation>", "declares entities, which are not expanded"),
        (
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><annotation>&x;</annotation>",
            "declares entities",
        ),
        ("<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/'>%x;]><annotation/>", "declares entities"),
        ("<annotation>&undefined;</annotation>", "not XML: undefined entity"),
        ("<annotation>", "not XML: no element found"),
        ("", "not XML: no element found"),
        ("<a>" * 5000, f"nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_dangerous_and_broken_xml_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        parse_xml(text)


def test_xml_that_is_no_label_is_left_alone_and_said_where_it_was_asked_for(tmp_path: Path) -> None:
    tree(tmp_path, {"good/a.jpg": None, "bad/b.jpg": None, "pom.xml": "<project/>", "broken.xml": "<a"})
    labelling = read(tmp_path, "auto")
    assert (labelling.mode, labelling.skipped, labelling.remarks) == ("folders", [], [])
    assert reasons(tmp_path, read(tmp_path, "xml")) == [
        ("broken.xml", "not XML: unclosed token (line 1, column 1)"),
        ("pom.xml", "neither Pascal VOC nor CVAT: its root is <project>"),
    ]
    with pytest.raises(LabelsInvalid, match="no XML file is there"):
        read(tree(tmp_path / "empty", {"a.jpg": None}), "xml")


def test_voc_beside_a_table_is_said_not_to_be_used(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"a.jpg": None, "metadata.csv": "file_name,label\na.jpg,good\n", "a.xml": voc("a.jpg", "hole")},
    )
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"a.jpg": {"label": "good"}}
    assert [remark.text for remark in labelling.remarks] == [
        "looks like Pascal VOC's, as 1 XML files do: not used; --labels xml reads them"
    ]
    assert fields(tmp_path, read(tmp_path, "xml")) == {"a.jpg": {"label": "hole"}}


@given(st.sampled_from([voc("a.jpg", "hole"), CVAT]), st.data())
def test_any_damaged_xml_is_read_or_refused(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(
        st.sampled_from(
            ["<object>", "</object>", "<image name='a.jpg'/>", "<a>" * 200, "]]>", "\0", "&#xd800;", "\ud800"]
        )
        | st.text(max_size=4)
    )
    text = text[:at] + put + text[at + data.draw(st.integers(0, 9)) :]
    root = Path("/root")
    try:
        file = XmlFile(root / "a.xml", parse_xml(text))
    except Unusable:
        return
    claims, skipped, _ = read_xml_files(ImageNames(root, [root / "a.jpg", root / "1.jpg"]), [file])
    for claim in claims:
        assert labels_digest(claim.label.fields, claim.label.metadata)
    assert all(each.reason for each in skipped)
