"""The console: one page without data, without anything from outside, and without a way for data to become markup."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service import console

FOLDER = Path(console.__file__).parent


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("test")
    console.register(app)
    return app.test_client()


def parts(client: FlaskClient) -> list[str]:
    """Every address the page names."""
    return re.findall(r'(?:src|href)="([^"]+)"', client.get("/").get_data(as_text=True))


def test_the_page_is_served_with_a_policy_that_allows_its_own_files_and_nothing_else(client: FlaskClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert set(re.findall(r"(?:script|style|img|connect)-src ([^;]+)", policy)) == {"'self'"}
    assert "frame-ancestors 'none'" in policy


def test_every_part_of_the_page_is_its_own_and_is_served(client: FlaskClient) -> None:
    found = parts(client)
    assert "console/console.js" in found
    for address in found:
        assert not re.match(r"\w+:|/", address), "a proxy may put the page below a path"
        answer = client.get(f"/{address}")
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["index.html", "console.css", "console.js"])
def test_no_file_names_an_address_outside(name: str) -> None:
    assert not re.search(r"https?:|wss?:|@import|url\(|[\"'(]//", (FOLDER / name).read_text(encoding="utf-8"))


def test_nothing_that_the_server_tells_can_become_markup_or_code() -> None:
    script = (FOLDER / "console.js").read_text(encoding="utf-8")
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc", script)
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script>|<style|\son\w+=|style=", page), "the policy would refuse it"


def test_the_key_stays_in_the_tab_and_leaves_the_address_bar() -> None:
    script = (FOLDER / "console.js").read_text(encoding="utf-8")
    assert "localStorage" not in script
    assert "document.cookie" not in script
    assert script.index("replaceState(null") < script.index("enter(key);\n  return true")


def test_every_japanese_heading_has_its_english_word_beside_it() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", page)
    assert len(headings) == 3
    assert all(re.search(r"[぀-ヿ一-鿿].*<span lang=\"en\">[A-Za-z ]+</span>", text) for text in headings)
