"""Settings: typed, read once, every fault named at once, no secret ever shown."""

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from billing.settings import Settings, SettingsError, fernet_keys, names

WHSEC = "whsec_" + "QUJD" * 8


def load(tmp_path: Path, **values: str) -> Settings:
    return Settings.load(
        {"SEKISU_DATA_DIR": str(tmp_path), **{f"SEKISU_{name}": text for name, text in values.items()}}
    )


def test_without_any_setting_the_defaults_of_the_contract_hold(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.host, settings.port, settings.sandbox_port) == ("127.0.0.1", 8080, 8081)
    assert (settings.collect, settings.log_format, settings.max_body_bytes) == ("live", "text", 1_048_576)
    assert settings.public_url == "http://127.0.0.1:8080"
    assert (settings.database_url, settings.redis_url, settings.payment_url) == ("", "", "")


def test_the_sandbox_port_and_the_public_address_follow_the_port(tmp_path: Path) -> None:
    settings = load(tmp_path, PORT="9000")
    assert settings.sandbox_port == 9001
    assert settings.public_url == "http://127.0.0.1:9000"


def test_every_fault_is_named_in_one_reading(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            tmp_path,
            PORT="http",
            COLLECT="maybe",
            DATABASE_URL="mysql://u:hidden-word@h/d",
            PAYMENT_SECRET="open sesame",
            MAX_BODY_BYTES="-1",
            API_KEY_FILE=str(tmp_path / "nowhere"),
        )
    text = str(caught.value)
    for name in ("PORT", "COLLECT", "DATABASE_URL", "PAYMENT_SECRET", "MAX_BODY_BYTES", "API_KEY_FILE"):
        assert f"SEKISU_{name}" in text
    assert len(caught.value.faults) == 6
    assert "hidden-word" not in text
    assert "sesame" not in text


def test_a_setting_can_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_text("postgres://someone:pw@db.example/seats\n")
    settings = load(tmp_path, DATABASE_URL_FILE=str(tmp_path / "mounted"))
    assert settings.database_url == "postgresql://someone:pw@db.example/seats"


def test_a_setting_given_twice_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_text("9000")
    with pytest.raises(SettingsError, match="both set"):
        load(tmp_path, PORT="9000", PORT_FILE=str(tmp_path / "mounted"))


def test_secrets_that_are_not_set_are_made_once_and_kept_for_the_owner_alone(tmp_path: Path) -> None:
    first, second = load(tmp_path / "data"), load(tmp_path / "data")
    assert first == second
    assert first.payment_secret.startswith("whsec_")
    for name in ("secret-key", "payment-secret", "api-key"):
        path = tmp_path / "data" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"secret-key", "payment-secret", "api-key"}
    assert load(tmp_path / "other").api_key != first.api_key


def test_secrets_that_are_set_leave_the_data_directory_untouched(tmp_path: Path) -> None:
    load(tmp_path / "data", SECRET_KEY="one", PAYMENT_SECRET=WHSEC, API_KEY="k")
    assert not (tmp_path / "data").exists()


def test_an_empty_secret_file_is_a_fault_not_an_empty_key(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("\n")
    with pytest.raises(SettingsError, match="secret-key is empty"):
        load(tmp_path)


def test_a_data_directory_that_cannot_be_made_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"not writable.*SEKISU_DATA_DIR"):
        load(tmp_path / "file" / "below")


def test_the_first_secret_key_encrypts_and_each_decrypts(tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), "a passphrase of four words"
    before = load(tmp_path, SECRET_KEY=old)
    during = load(tmp_path, SECRET_KEY=f"{new},\n{old}")
    kept = before.vault.encrypt(b"trello secret")
    assert during.vault.decrypt(kept) == b"trello secret"
    fresh = during.vault.encrypt(b"trello secret")
    assert load(tmp_path, SECRET_KEY=new).vault.decrypt(fresh) == b"trello secret"


def test_any_passphrase_makes_the_same_key_every_time() -> None:
    assert fernet_keys("席数 seats") == fernet_keys(" 席数 seats ")
    assert fernet_keys("one") != fernet_keys("two")


def test_no_secret_and_no_address_is_in_the_repr(tmp_path: Path) -> None:
    settings = load(
        tmp_path, REDIS_URL="redis://:pw@h/0", DATABASE_URL="postgresql://u:pw@h/d", SMTP_URL="smtp://u:pw@h"
    )
    shown = repr(settings)
    hidden = (settings.api_key, settings.payment_secret, settings.secret_keys[0], ":pw@")
    assert not [word for word in hidden if word in shown]


def test_children_read_the_same_settings_from_the_environment_that_is_handed_to_them(tmp_path: Path) -> None:
    settings = load(tmp_path, SECRET_KEY="one,two", PORT="9000", COLLECT="shadow", PAYMENT_URL="http://pay.example/")
    assert Settings.load(settings.environ()) == settings


def test_an_address_that_is_needed_and_not_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"SEKISU_DATABASE_URL.*SEKISU_REDIS_URL"):
        load(tmp_path).need("database_url", "redis_url", "data_dir")


def test_every_variable_has_one_name() -> None:
    assert "SEKISU_SECRET_KEY" in names()
    assert len(names()) == len(set(names()))
