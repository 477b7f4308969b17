import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.corpus import parquet_writer
from mirror.corpus.parquet_writer import TableWriter, count_rows, read_batches

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.int64())])


def write(folder, rows):
    with TableWriter(folder, SCHEMA) as writer:
        for row in rows:
            writer.add(*row)


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 57])
def test_rows_are_read_in_order_from_any_number_of_parts(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(parquet_writer, "BUFFER_ROWS", 3)
    monkeypatch.setattr(parquet_writer, "ROW_GROUP", 5)
    monkeypatch.setattr(parquet_writer, "PART_ROWS", 10)
    content = [(f"row {number}", number) for number in range(rows)]
    write(tmp_path / "table", content)
    read = [row for batch in read_batches(tmp_path / "table") for row in batch.to_pylist()]
    assert [(row["text"], row["number"]) for row in read] == content
    assert count_rows(tmp_path / "table") == rows
    assert pq.read_schema(tmp_path / "table" / "part-00000.parquet") == SCHEMA


@pytest.mark.parametrize("sizes", [[57], [1, 0, 30, 26], [5, 5, 5, 42]])
def test_equal_rows_give_equal_bytes_with_any_batch_size(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(parquet_writer, "BUFFER_ROWS", 3)
    monkeypatch.setattr(parquet_writer, "ROW_GROUP", 5)
    monkeypatch.setattr(parquet_writer, "PART_ROWS", 10)
    content = [(f"row {number}", number) for number in range(57)]
    write(tmp_path / "one by one", content)
    rest = pa.table([list(column) for column in zip(*content, strict=True)], schema=SCHEMA)
    with TableWriter(tmp_path / "many", SCHEMA) as writer:
        writer.add(*content[0])
        rest = rest.slice(1)
        for size in sizes:
            writer.add_table(rest.slice(0, size))
            rest = rest.slice(size)
    parts = [sorted((tmp_path / name).iterdir()) for name in ("one by one", "many")]
    assert len(parts[0]) == len(parts[1]) == 6
    for one, other in zip(*parts, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_failure_is_raised_and_leaves_no_open_file(tmp_path):
    with pytest.raises(ZeroDivisionError), TableWriter(tmp_path / "table", SCHEMA) as writer:
        writer.add("oar", 1 // 0)
    assert writer._file.is_open is False
