from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from caelab.report.document import (
    Block,
    Code,
    Column,
    Document,
    Note,
    Paragraph,
    Picture,
    Section,
    Table,
)
from caelab.report.render_markdown import render_markdown, write_markdown

TEXTS = st.text(st.sampled_from("ab1 2.)*_`#+-=>|[]()!<&;~\\$:~\n×")).filter(
    lambda text: text.strip()
)


def parsed(*blocks: Block) -> list[Token]:
    text = render_markdown(Document(title="T", sections=[Section(title="S", blocks=blocks)]))
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def shown(token: Token) -> str:
    """What a reader sees of an inline token that holds nothing but text."""
    assert {child.type for child in token.children or []} <= {
        "text",
        "text_special",
        "softbreak",
    }, token.children
    return "".join(child.content or " " for child in token.children or [])


@given(TEXTS)
def test_plain_text_is_read_as_it_was_written(text: str) -> None:
    tokens = parsed(Paragraph(text))
    assert [token.type for token in tokens[6:]] == ["paragraph_open", "inline", "paragraph_close"]
    assert shown(tokens[7]) == " ".join(text.split())


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_cells_are_read_as_they_were_written(rows: list[tuple[str, str]]) -> None:
    tokens = parsed(Table(columns=[Column("a|b", align="left"), Column("c")], rows=rows))
    cells = [shown(token) for token in tokens if token.type == "inline"][2:]
    assert cells == ["a|b", "c", *(" ".join(cell.split()) for row in rows for cell in row)]


def test_a_table_aligns_and_formats() -> None:
    table = Table(
        columns=[Column("name", align="left"), Column("MSE", ".3f")],
        rows=[["x", 0.12345], ["y", None]],
    )
    text = render_markdown(Document(title="T", sections=[Section(title="S", blocks=[table])]))
    assert "| :--- | ---: |\n| x | 0.123 |\n| y | – |" in text


def test_code_keeps_every_letter() -> None:
    code = 'caelab train "conv8 | conv3"\n```\nfenced'
    fence = next(token for token in parsed(Code(code)) if token.type == "fence")
    assert fence.content == f"{code}\n"


def test_notes_and_levels() -> None:
    sections = [
        Section(title="A", blocks=[Note("gone", "missing")]),
        Section(title="B", blocks=[], level=2),
    ]
    document = Document(title="T", lead="Lead.", sections=sections)
    assert render_markdown(document) == "# T\n\nLead.\n\n## A\n\n> **Missing:** gone\n\n### B\n"


def test_pictures_lie_where_the_text_says(tmp_path: Path) -> None:
    picture = Picture(name="p", data=b"\x89PNG", format="png", caption="What.", alt="See.")
    write_markdown(
        Document(title="T", sections=[Section(title="S", blocks=[picture])]), tmp_path / "report.md"
    )
    assert "![See.](figures/p.png)\n\n*What.*" in (tmp_path / "report.md").read_text(
        encoding="utf-8"
    )
    assert (tmp_path / "figures" / "p.png").read_bytes() == b"\x89PNG"
