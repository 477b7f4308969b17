"""Sections of reStructuredText."""

from __future__ import annotations

import pytest

from mirror.corpus.formats.restructuredtext import rst_sections
from mirror.corpus.html_sections import TextSection

TEXT = """
=====
Boats
=====

A *red* boat, see :class:`~harbour.Boat` and `oars <https://a.test>`_ [1]_.

.. note:: Oars are ``long``.

.. contents::

Oars
----

.. code-block:: python

   row()

.. toctree::

   sails

Two |oars|::

   row()

* one
* two

Sails
-----

:author: Ann

.. [1] A footnote.
"""


def test_sections_have_the_prose_without_markup() -> None:
    assert rst_sections(TEXT) == [
        TextSection("Boats", ["A red boat, see Boat and oars.", "Oars are long."]),
        TextSection("Oars", ["Two oars:", "one", "two"]),
        TextSection("Sails", []),
    ]


@pytest.mark.parametrize("directive", ["include:: /etc/hostname", "raw:: html\n   :file: a.html"])
def test_no_other_file_is_read(directive: str) -> None:
    assert rst_sections(f"A boat.\n\n.. {directive}\n") == [TextSection("", ["A boat."])]


def test_malformed_text_is_read_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    text = "Boats\n====\n\nA *boat.\n\n.. unknown:: x\n\n  deep\n over\n"
    assert rst_sections(text)[0] == TextSection("Boats", ["A *boat."])
    assert capfd.readouterr() == ("", "")
