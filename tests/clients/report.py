"""The matrix as text: for the terminal, and for MATRIX.md, which says the same after every good run."""

SIGNS = {"passed": "✓", "failed": "✗", "absent": "–", None: ""}
MARKDOWN_HEAD = """# Conformance

What a hub must be able to do, asked by the Hub's own clients, unmodified, of two nodes: what one row writes at one
gateway is read at the gateway of the other node. Each cell is an assertion on content, or on the very exception that is
raised. `tests/run` runs it and writes this file; [matrix.py](matrix.py) says how to run it by hand.

✓ holds · ✗ fails · – this version of the client has no such operation · empty: not asked of this client

"""


def rows_of(results):
    """Subjects with their rows, in the order the columns announce them, each once."""
    subjects = {}
    for result in results:
        for row, subject in result.rows.items():
            subjects.setdefault(subject, {})[row] = None
    return {subject: list(rows) for subject, rows in subjects.items()}


def signs(row, results):
    return [SIGNS[result.cells.get(row)] for result in results]


def matrix(results):
    lines = [""]
    width = max((len(row) for rows in rows_of(results).values() for row in rows), default=0)
    for number, result in enumerate(results):
        lines.append(" " * (width + 2) + " │ " * number + " ┌ " + result.column.title)
    for subject, rows in rows_of(results).items():
        lines.append(subject)
        lines += [f"  {row:<{width}}" + "".join(f" {sign or '·'} " for sign in signs(row, results)) for row in rows]
    return "\n".join(lines)


def markdown(results):
    lines = [f"- **{result.column.title}**: {result.column.about}" for result in results]
    for subject, rows in rows_of(results).items():
        lines += ["", f"## {subject.capitalize()}", "", "| | " + " | ".join(result.column.title for result in results) + " |",
                  "|---|" + ":-:|" * len(results)]
        lines += [f"| {row} | " + " | ".join(signs(row, results)) + " |" for row in rows]
    count = sum(len(rows) for rows in rows_of(results).values())
    return MARKDOWN_HEAD + "\n".join(lines) + f"\n\n{count} rows.\n"
