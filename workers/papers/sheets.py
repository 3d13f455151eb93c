"""The two security check sheets that anybody gets for nothing (BL-27): what each asks, to be answered by the operator.

The names are data (A-32). Put the answered sheets into the folder `security-sheets` of the data directory, and they are
handed out instead of the forms.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workers.papers import render

_Text = Mapping[str, str]
#: A form has no date of its own; one instant for all makes its bytes the same everywhere.
_DATED = datetime(2026, 1, 1, tzinfo=UTC)
_COLUMNS: Mapping[str, Sequence[str]] = {"ja": ("番号", "確認項目", "回答"), "en": ("No.", "What is asked", "Answer")}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A check sheet: whose list it follows, and what that list asks about."""

    file: str
    name: _Text
    publisher: _Text
    asks: Sequence[_Text]


def _asks(*pairs: tuple[str, str]) -> list[_Text]:
    return [{"ja": ja, "en": en} for ja, en in pairs]


SHEETS = (
    Sheet(
        "cloud-service-level",
        {"ja": "クラウドサービスレベルのチェックリスト", "en": "Cloud service level checklist"},
        {"ja": "経済産業省", "en": "Ministry of Economy, Trade and Industry (METI), Japan"},
        _asks(
            ("アプリケーション運用: 可用性", "Operation: availability"),
            ("アプリケーション運用: 信頼性", "Operation: reliability"),
            ("アプリケーション運用: 性能", "Operation: performance"),
            ("アプリケーション運用: 拡張性", "Operation: extensibility"),
            ("サポート", "Support"),
            ("データ管理", "Data management"),
            ("セキュリティ", "Security"),
        ),
    ),
    Sheet(
        "safe-website",
        {"ja": "安全なウェブサイトの作り方 改訂第7版", "en": "How to make a safe website, revision 7"},
        {"ja": "独立行政法人情報処理推進機構(IPA)", "en": "Information-technology Promotion Agency (IPA), Japan"},
        _asks(
            ("SQLインジェクション", "SQL injection"),
            ("OSコマンド・インジェクション", "OS command injection"),
            ("ディレクトリ・トラバーサル", "Directory traversal"),
            ("セッション管理の不備", "Session management"),
            ("クロスサイト・スクリプティング", "Cross-site scripting"),
            ("クロスサイト・リクエスト・フォージェリ", "Cross-site request forgery"),
            ("HTTPヘッダ・インジェクション", "HTTP header injection"),
            ("メールヘッダ・インジェクション", "Mail header injection"),
            ("クリックジャッキング", "Clickjacking"),
            ("バッファオーバーフロー", "Buffer overflow"),
            ("アクセス制御や認可制御の欠落", "Missing access control or authorisation"),
        ),
    ),
)


def bundle(folder: Path, language: str) -> bytes:
    """Both sheets as one ZIP: the operator's own files of `folder`, where there are any, else the forms as PDF."""
    own = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    if own:
        files = [(path.name, path.read_bytes()) for path in own]
    else:
        files = [(f"{sheet.file}-{language}.pdf", form(sheet, language)) for sheet in SHEETS]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def form(sheet: Sheet, language: str) -> bytes:
    """A sheet to fill in, as PDF. Raises RenderError."""
    asked = [[str(n), ask[language], ""] for n, ask in enumerate(sheet.asks, 1)]
    view = {
        "language": language,
        "title": sheet.name[language],
        "publisher": sheet.publisher[language],
        "columns": list(_COLUMNS[language]),
        "asked": asked,
    }
    return render.page("sheet.typ", view, _DATED)
