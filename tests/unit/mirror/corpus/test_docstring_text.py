import pytest

from mirror.corpus.docstring_text import plain_text, prose_paragraphs

NUMPY_STYLE = """
    Row a boat over the lake.

    The boat is moved by `oars`, which
    must be of **equal** length [1]_.

    Parameters
    ----------
    oars : int, optional
        How many oars there are.

    Returns
    -------
    float
        The way that was made.

    Notes
    -----
    A boat drifts when nobody rows it.

    .. versionadded:: 1.2

    See Also
    --------
    sail : Uses the wind.

    Examples
    --------
    >>> row(2)
    3.5
    """
GOOGLE_STYLE = """Moors the boat at a pier.

    It waits until the pier is free::

        while pier.taken:
            wait()

    Args:
        pier: Where to moor.

        force (bool): Whether to push others away.

    Returns:
        Whether it worked.

    Note that the rope is left ashore.
    """
SPHINX_STYLE = """Casts off.

    Takes the rope from :class:`~harbour.piers.Pier` and `rolls it <https://example.org/rope>`_ up.

    :param rope: the rope that
        holds the boat
    :returns: nothing at all

    .. code-block:: python

        cast_off(rope)

    .. note:: Never cast off at night.

    .. warning::
        The rope may be wet.
    """


def test_numpy_style_keeps_only_prose():
    assert prose_paragraphs(NUMPY_STYLE) == [
        "Row a boat over the lake.",
        "The boat is moved by oars, which must be of equal length.",
        "A boat drifts when nobody rows it.",
    ]


def test_google_style_keeps_only_prose():
    assert prose_paragraphs(GOOGLE_STYLE) == [
        "Moors the boat at a pier.",
        "It waits until the pier is free:",
        "Note that the rope is left ashore.",
    ]


def test_sphinx_style_keeps_only_prose():
    assert prose_paragraphs(SPHINX_STYLE) == [
        "Casts off.",
        "Takes the rope from Pier and rolls it up.",
        "Never cast off at night.",
        "The rope may be wet.",
    ]


def test_fences_tables_and_lists_of_parameters_are_dropped():
    text = """Counts all the boats.

    ```python
    count(boats)
    ```

    =====  =====
    boat   oars
    =====  =====

    | one | two |

    boats (list[int], optional): The boats to be counted here.

    - the first item of the list
      goes on here
    - the second item of the list
    """
    assert prose_paragraphs(text) == [
        "Counts all the boats.",
        "the first item of the list goes on here",
        "the second item of the list",
    ]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        (":func:`numpy.sum` adds", "numpy.sum adds"),
        (":ref:`User Guide <guide>` says", "User Guide says"),
        ("a ``*args`` list", "a *args list"),
        ("see [the page](https://example.org/a(b)) now", "see the page now"),
        ("2 * 3 * 4 stays", "2 * 3 * 4 stays"),
        ("snake_case and __init__ stay", "snake_case and __init__ stay"),
    ],
)
def test_markup_is_removed_and_words_stay(marked, plain):
    assert plain_text(marked) == plain
