"""From a document's content to its PDF: words (`words.py`), page (`document.typ`), bytes (`render.py`)."""
