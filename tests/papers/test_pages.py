"""The pages: complete in both languages, the same bytes each time, nothing outside the paper."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from billing.core.documents import Item, compose
from billing.core.tax import Tax
from billing.store import documents as store
from tests.papers.desk import ISSUER, Desk, texts
from tests.papers.test_composition import head
from workers.papers import kept, render, sheets, words

LONG = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft" * 2


def line(number: int, amount: int = 1_956, plan: str = "chatwork-business") -> Item:
    day = date(2026, 5, 1) + timedelta(days=number)
    return Item(f"k{number}", "seats_added", day, plan, 1, 8_400, Fraction(17, 73), amount, "JPY", ("CW-15",))


def content(items: Sequence[Item], tax: Tax | None = None, credit: int = 0, **more: Any) -> dict[str, Any]:
    told = compose(head(tax or Tax("1/10"), **{"issuer": ISSUER, **more}), items, credit=credit)
    return {**told, "chain_head": "ab" * 32}


def boxes(pdf: bytes) -> Iterator[tuple[float, float, tuple[float, ...]]]:
    """Width and height of the paper, and the box of each character."""
    opened = pypdfium2.PdfDocument(pdf)
    for page in opened:
        text = page.get_textpage()
        for index in range(text.count_chars()):
            if text.get_text_range(index, 1).strip():
                yield (*page.get_size(), text.get_charbox(index))
    opened.close()


def test_the_japanese_page_is_complete() -> None:
    told = content([line(0, 16_000)], due_on=date(2026, 4, 30))
    (page,) = texts(render.pdf(told, "ja"))
    wanted = (
        *("請求書", "適格請求書", "INV-1-000001", "2026年4月21日", "2026年5月1日 〜 2026年7月31日", "2026年4月30日"),
        *(
            "合同会社すずらん設計 御中",
            "株式会社ひだまり商店",
            "東京都渋谷区神宮前9丁目99番99号",
            "登録番号: T7120001168421",
        ),
        *("みなと銀行 本店営業部 普通 1234567", "銀行振込", "chatwork-business 席の追加(日割り)", "¥8,400", "17/73"),
        *("10%対象(税抜)", "¥16,000", "消費税(10%)", "¥1,600", "合計(税込)", "¥17,600", "CW-15", "abababababababab"),
    )
    squeezed = "".join(page.split())
    assert [text for text in wanted if "".join(text.split()) not in squeezed] == []


def test_the_english_page_is_complete_and_has_no_japanese_but_names() -> None:
    told = content([line(0, 16_000)], credit=600, kind="receipt", method="card")
    (page,) = texts(render.pdf(told, "en"))
    wanted = ("Receipt", "This receipt is a qualified invoice", "Registration number: T7120001168421", "Card")
    totals = ("Subject to 10%, before tax", "¥16,000", "¥1,600", "¥17,600", "Paid from credit", "-¥600", "¥17,000")
    assert [text for text in (*wanted, *totals) if text not in page] == []
    assert "領収" not in page
    assert "みなと銀行" not in page  # paid already: nobody asks where to


def test_an_honest_page_says_that_it_is_no_qualified_invoice() -> None:
    (page,) = texts(render.pdf(content([line(0)], issuer={"name": "個人商店あおば"}), "ja"))
    assert "適格請求書ではありません" in "".join(page.split())
    assert "登録番号:" not in page
    (untaxed,) = texts(render.pdf(content([line(0)], Tax("0")), "en"))
    assert "No consumption tax is charged here" in untaxed
    assert "Consumption tax (0%)" not in untaxed


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("lines", [1, 100, 300])
def test_nothing_leaves_the_paper_with_100_lines_and_long_names(language: str, lines: int) -> None:
    issuer = {**ISSUER, "name": LONG, "address": f"{LONG}\n{'あ' * 120}"}
    told = content([line(n % 350, 10**9, LONG) for n in range(lines)], issuer=issuer, recipient={"name": LONG})
    pdf = render.pdf(told, language)
    margin = 40.0  # points; the page's own is 51
    found = list(boxes(pdf))
    assert all(left >= margin and right <= wide - margin for wide, _, (left, _, right, _) in found)
    assert all(low >= 20 and high <= tall - margin for _, tall, (_, low, _, high) in found)
    pages = texts(pdf)
    assert "".join(pages).count("17/73") == lines
    assert all(words.say("description", language) in page for page in pages[:-1])  # the heading is on every page
    assert f"{len(pages)} / {len(pages)}" in pages[-1]
    assert words.say("total", language) in "".join(pages[-1].split()) or words.say("total", language) in pages[-1]


def test_the_same_content_gives_the_same_bytes_with_the_fonts_inside() -> None:
    told = content([line(0)])
    first = render.pdf(told, "ja")
    render._fonts.cache_clear()
    assert first == render.pdf(told, "ja") != render.pdf(told, "en")
    assert b"NotoSansJP" in first
    assert b"/FontFile3" in first


def test_a_text_is_set_as_it_is_and_never_read_as_markup() -> None:
    evil = '#panic("x") *bold* $x$ [link] <tag> \\ " // note'
    (page,) = texts(render.pdf(content([line(0)], recipient={"name": evil}), "en"))
    assert "".join(evil.split()) in "".join(page.split())


def test_bl_23_bytes_are_rendered_once_and_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.charge(17_600)
    (invoice,) = desk.issue()
    with desk.database.transaction("test") as connection:
        first = kept.pdf(connection, invoice)
    monkeypatch.setattr(render, "pdf", lambda *_: b"%PDF of another version")
    with desk.database.transaction("test") as connection:
        assert kept.pdf(connection, invoice, "ja") == first
        assert kept.pdf(connection, invoice, "en") != first
        (row,) = store.page(connection, desk.workspace, None, None, 10)
    assert row["sha256"] == hashlib.sha256(first).hexdigest()


def test_bl_27_both_sheets_come_in_one_download_or_the_operators_own(tmp_path: Path) -> None:
    packed = sheets.bundle(tmp_path / "none", "ja")
    assert packed == sheets.bundle(tmp_path / "none", "ja")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        pages = ["".join(texts(archive.read(name))) for name in archive.namelist()]
    assert len(pages) == 2
    assert "クラウドサービスレベルのチェックリスト" in pages[0]
    assert "安全なウェブサイトの作り方" in pages[1]
    assert "SQLインジェクション" in "".join(pages[1].split())
    (tmp_path / "answered.pdf").write_bytes(b"%PDF")
    with zipfile.ZipFile(io.BytesIO(sheets.bundle(tmp_path, "en"))) as archive:
        assert archive.namelist() == ["answered.pdf"]
