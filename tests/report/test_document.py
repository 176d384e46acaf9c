import pytest

from caelab.report.document import Column, Table


def test_a_column_writes_numbers_as_it_says_and_text_as_it_is() -> None:
    column = Column("n", ",.2f")
    assert [column.text(cell) for cell in (1234.5, "so", None, 3)] == [
        "1,234.50",
        "so",
        "–",
        "3.00",
    ]


def test_rows_have_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table(columns=[Column("a"), Column("b")], rows=[[1, 2], [1]])
