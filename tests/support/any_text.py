"""Text as XML can hold it, for generated office files."""

from html import escape

from hypothesis import strategies as st

_CONTROLS = "".join(map(chr, range(32)))

any_text = st.one_of(
    st.text("ab åé\u00ad-.", max_size=8),
    st.sampled_from(("ord ", " ord", "o", "rd", " ", "e\u0301", "\n", "a\r\nb", "\t", "<&>\"'")),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=_CONTROLS + "\ufffe\uffff"),
        max_size=5,
    ),
)
"""Words, halves of words, white space of every kind, and any letters that XML allows."""


def xml_text(text: str) -> str:
    """Text as XML content; a carriage return is a reference, so that it is not a line end."""
    return escape(text).replace("\r", "&#13;")
