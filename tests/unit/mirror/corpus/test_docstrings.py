import sys

import pytest

from mirror.corpus.sources import read_documents, source_digests
from mirror.corpus.sources.docstrings import NOT_PYTHON, docstring_document
from mirror.errors import CorpusError
from tests.fixtures.recipes import make_recipe

STYLED = """
    Row a boat over the lake.

    The boat is moved by oars.

    Parameters
    ----------
    oars : int

    Notes
    -----
    A boat drifts when nobody rows it.
    """


def recipe(*packages):
    return make_recipe(corpus={"source": "docstrings", "packages": packages})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution on the import path, as pip does."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def write(name, files, version="1.0"):
        site = tmp_path / "site"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        for path, text in files.items():
            place = site / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text if isinstance(text, bytes) else text.encode())
        record = "".join(
            f"{path},sha256={abs(hash(str(text)))},1\n" for path, text in files.items()
        )
        (info / "RECORD").write_text(f"{record}{info.name}/METADATA,,\n")
        return site

    return write


def test_summary_and_enough_prose_make_a_title_and_its_body():
    document = docstring_document(STYLED, "boats")
    assert document.title == "Row a boat over the lake."
    assert document.body.startswith("The boat is moved by oars. A boat")
    assert document.body.endswith("when nobody rows it.")
    short = docstring_document("Rows a boat over.\n\nSlowly, then fast.", "boats")
    assert (short.title, short.body) == ("", "")


def test_a_long_body_is_cut_between_words():
    document = docstring_document("Rows the boat.\n\n" + "paddle " * 400, "boats")
    assert 990 < len(document.body) <= 1_000
    assert document.body.endswith("paddle")


def test_every_docstring_is_read_in_order_and_nothing_is_run(install, tmp_path):
    ran = tmp_path / "ran"
    module = f'''"""The module of boats."""
open({str(ran)!r}, "w").close()
class Boat:
    """A boat with many oars."""
    if True:
        async def row(self):
            """Rows it over water."""
            def inner():
                """Inner work of oars."""
try:
    pass
except ValueError:
    def late():
        """Comes after all others."""
'''
    install(
        "boats-lib",
        {
            "boats/__init__.py": module,
            "boats/tests/test_it.py": '"""Not a documentation text."""',
            "boats/data.txt": '"""Not Python."""',
            "boats/old.py": 'print "old"\n',
            "boats/binary.py": b"\x00\x01\xff",
        },
    )
    documents = list(read_documents(recipe("Boats_Lib")))
    assert [document.text for document in documents if not document.fault] == [
        "The module of boats.",
        "A boat with many oars.",
        "Rows it over water.",
        "Inner work of oars.",
        "Comes after all others.",
    ]
    faults = [(document.text, document.fault) for document in documents if document.fault]
    assert faults == [
        ("boats-lib: boats/binary.py", NOT_PYTHON),
        ("boats-lib: boats/old.py", NOT_PYTHON),
    ]
    assert {document.source for document in documents} == {"boats-lib"}
    assert not ran.exists()
    assert "boats" not in sys.modules


def test_deeply_nested_file_is_a_fault_not_a_crash(install):
    install("deep", {"deep.py": "x = " + "(" * 5_000 + ")" * 5_000})
    assert [document.fault for document in read_documents(recipe("deep"))] == [NOT_PYTHON]


def test_missing_package_is_named():
    with pytest.raises(CorpusError, match=r"no-such-boat.*install or remove"):
        list(read_documents(recipe("numpy", "no-such-boat")))


def test_digest_follows_version_and_files(install):
    site = install("boats-lib", {"boats.py": '"""The module of boats."""'})
    before = source_digests(recipe("boats-lib"))
    assert list(before) == ["boats-lib"]
    record = next(site.glob("*.dist-info")) / "RECORD"
    record.write_text(record.read_text().replace("sha256=", "sha256=0"))
    assert source_digests(recipe("boats-lib")) != before
