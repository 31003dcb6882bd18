"""`envoi schema`."""

from xml.etree import ElementTree as ET

DOCUMENT = """<srcSchema namespace="cus" name="extAccount" extendedSchema="nms:extAccount">
  <element name="extAccount"><attribute name="region" type="string" length="32"/>
  <element name="keeper" type="link" target="xtk:operator"/></element></srcSchema>"""


def test_a_document_is_shown_applied_and_taken_back(run_envoi, committed_db, tmp_path):
    file = tmp_path / "ext.xml"
    file.write_text(DOCUMENT)
    done = run_envoi("schema", "extend", str(file), "--json", code=0).json
    assert done == {"schema": "nms:extAccount", "tables": [], "fields": ["region", "keeper"], "known": []}
    root = ET.fromstring(run_envoi("schema", "show", "nms:extAccount", "--xml", code=0).out)  # noqa: S314
    assert root.find("element/attribute[@name='region']") is not None
    assert root.find("element/element[@name='keeper']/join") is not None
    run_envoi("schema", "remove", "nms:extAccount", "region", code=0)
    left = run_envoi("schema", "show", "nms:extAccount", "--json", code=0).json
    assert [each["name"] for each in left["attributes"] if each["added"]] == ["keeper-id"]


def test_a_document_with_a_bomb_is_refused(run_envoi, db, tmp_path):
    file = tmp_path / "bomb.xml"
    file.write_text('<!DOCTYPE x [<!ENTITY a "ha">]><srcSchema>&a;</srcSchema>')
    assert "DTD" in run_envoi("schema", "extend", str(file), code=3).err
