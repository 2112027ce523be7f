"""Defaults, then a file, then the environment, then flags; every problem named at once."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from sightline.core import ImageEncoding
from sightline.errors import ConfigError
from sightline.settings import (
    BUNDLED,
    DEFAULT_MAX_RUNNING,
    TRANSCRIBER,
    EngineSpec,
    ImageLimits,
    Settings,
    engine_spec,
    engine_specs,
    merge_settings,
    read_file,
    settings_of,
    upstream_pool,
)


def load(tmp_path: Path, toml: str = "", flags: dict[str, Any] | None = None, **environ: str) -> Settings:
    file = tmp_path / "settings.toml"
    file.write_text(toml, encoding="utf-8")
    return merge_settings(read_file(file), flags or {}, environ=environ)


def test_it_starts_with_nothing_at_all() -> None:
    assert merge_settings({}, {}, environ={}) == Settings()


def test_later_sources_win(tmp_path: Path) -> None:
    toml = "[server]\nport = 1\nmax_body_bytes = 1\nshutdown_timeout_s = 1\n[limits]\nmax_in_flight = 1"

    settings = load(
        tmp_path,
        toml,
        {"server.port": 3, "server.host": None, "data": None},
        SIGHTLINE_SERVER_PORT="2",
        SIGHTLINE_SERVER_MAX_BODY_BYTES="2",
        SIGHTLINE_DATA="/elsewhere",
    )

    assert (settings.server.port, settings.server.max_body_bytes, settings.server.shutdown_timeout_s) == (3, 2, 1.0)
    assert settings.limits.max_in_flight == 1
    assert settings.data == Path("/elsewhere")
    assert settings.server.host == "127.0.0.1"


def test_engines_prices_and_aliases_come_from_the_file(tmp_path: Path) -> None:
    toml = """
        [[engines]]
        kind = "scripted"
        options = {step_s = 0.5, answer = "x"}
        [aliases]
        gpt-4o = "sightline/scripted"
        [prices."sightline/scripted"]
        prompt = "0.0000001"
    """

    settings = load(tmp_path, toml)

    assert settings.engines == (EngineSpec("scripted", {"step_s": 0.5, "answer": "x"}),)
    assert settings.aliases == {"gpt-4o": "sightline/scripted"}
    assert str(settings.prices["sightline/scripted"].prompt) == "1E-7"


def test_url_of_the_database_hides_itself(tmp_path: Path) -> None:
    url = "postgresql://ada:hunter2@db/x"

    settings = load(tmp_path, SIGHTLINE_DATABASE=url)

    assert settings.database_url == url
    assert Settings().database_url == load(tmp_path, SIGHTLINE_DATABASE="").database_url == ""
    assert "hunter2" not in f"{settings} {settings!r} {asdict(settings)}"


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "banana = 1\n[server]\nport = 'x'\n[[engines]]\n", SIGHTLINE_LIMITS_MAX_IN_FLIGHT="many")

    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("server.port", "limits.max_in_flight", "engines.0.kind", "banana"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("server.port", -1),
            ("server.port", 65_536),
            ("server.max_body_bytes", 0),
            ("server.shutdown_timeout_s", -1),
        ),
        *(
            ("server.shutdown_timeout_s", float("inf")),
            ("server.shutdown_timeout_s", float("nan")),
            ("images.max_images", 0),
        ),
        *(
            ("images.max_pixels", 0),
            ("limits.max_in_flight", 0),
            ("limits.max_queued", -1),
            ("images.cache_bytes", -1),
        ),
    ],
)
def test_value_without_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        merge_settings({}, {name: value}, environ={})


@pytest.mark.parametrize("price", ["-0.1", "1.0000001", "nan", "a dollar"])
def test_price_that_no_token_has_is_refused(tmp_path: Path, price: str) -> None:
    with pytest.raises(ConfigError, match=r"prices\.a\.prompt"):
        load(tmp_path, f"[prices.a]\nprompt = '{price}'\n")


@pytest.mark.parametrize("toml", ["server = 3", "[server]\nport = {}", "[[server]]", "data = 5"])
def test_value_in_the_place_of_a_section_is_named(tmp_path: Path, toml: str) -> None:
    with pytest.raises(ConfigError, match=r"server|data"):
        load(tmp_path, toml, {"server.host": "::1"})


@pytest.mark.parametrize(
    ("toml", "meant"),
    [
        ("[server]\nprot = 1\n", r"server\.prot: there is no such setting; did you mean port\?"),
        ("[limits]\nmax_qeued = 1\n", r"limits\.max_qeued: .* did you mean max_queued\?"),
        ('[[upstreams]]\nurls = ["http://a"]\nidle_time_s = 1\n', r"idle_time_s: .* did you mean idle_timeout_s\?"),
        ("colour = 1\n", r"colour: there is no such setting; docs/settings\.md has them all"),
    ],
)
def test_unknown_setting_is_refused_with_the_nearest_name(tmp_path: Path, toml: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=meant):
        load(tmp_path, toml)


def test_unknown_variable_of_the_environment_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"SIGHTLINE_SERVER_PROT: .* did you mean SIGHTLINE_SERVER_PORT"):
        merge_settings({}, {}, environ={"SIGHTLINE_SERVER_PROT": "1", "SIGHTLINE_BASE_URL": "http://127.0.0.1:8000/v1"})


def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_no_settings() -> None:
    """Every pod of a namespace has them; a mistyped setting beside them is still refused."""
    ours = {"SIGHTLINE_SERVICE_HOST": "10.0.0.7", "SIGHTLINE_SERVICE_PORT_HTTP": "8000"}
    ours |= {"SIGHTLINE_PORT": "tcp://10.0.0.7:8000", "SIGHTLINE_PORT_8000_TCP_ADDR": "10.0.0.7"}
    heads = {"SIGHTLINE_HEAD_SVC_SERVICE_HOST": "10.0.0.8", "SIGHTLINE_HEAD_SVC_PORT_6379_TCP": "tcp://10.0.0.8:6379"}

    assert merge_settings({}, {}, environ=ours | heads) == Settings()
    with pytest.raises(ConfigError, match=r"SIGHTLINE_SEVER_PORT: .* did you mean SIGHTLINE_SERVER_PORT"):
        merge_settings({}, {}, environ=ours | heads | {"SIGHTLINE_SEVER_PORT": "1"})


def test_what_is_no_setting_is_said_in_plain_words() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({"server": {"prot": 1, "port": 70000}})

    assert str(caught.value).splitlines() == [
        "server.port: it should be less than or equal to 65535",
        "server.prot: there is no such setting; did you mean port?",
    ]


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe"])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"broken\.toml cannot be read"):
        merge_settings(read_file(file), {}, environ={})


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        merge_settings(read_file(tmp_path / "none.toml"), {}, environ={})


def test_model_may_be_an_id_that_comes_along_or_a_folder(tmp_path: Path) -> None:
    bundled = next(iter(BUNDLED))

    assert engine_spec(TRANSCRIBER) == EngineSpec("transcribe")
    assert engine_spec(bundled).options["model_id"] == bundled
    assert engine_spec(str(tmp_path)) == EngineSpec("genai", {"path": str(tmp_path.resolve())})
    assert [spec.kind for spec in engine_specs(merge_settings({}, {}, environ={}))] == ["genai", "transcribe"]


def test_other_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=TRANSCRIBER):
        engine_spec("gpt-4o")


def test_each_vision_model_is_told_what_it_may_remember_of_pictures() -> None:
    """The engine's own option goes before; other kinds of engine take none."""
    own = EngineSpec("genai", {"path": "m", "encoder_cache_bytes": 5})
    settings = Settings(engines=(EngineSpec("genai", {"path": "m"}), own, EngineSpec("scripted")))

    specs = engine_specs(replace(settings, images=ImageLimits(encoder_cache_bytes=7)))

    assert [spec.options.get("encoder_cache_bytes") for spec in specs] == [7, 5, None]


def test_price_of_an_alias_is_refused_for_nobody_would_be_charged_it() -> None:
    with pytest.raises(ConfigError, match=r"prices\.mine: is an alias; .* the price of a/b"):
        settings_of({"aliases": {"mine": "a/b"}, "prices": {"mine": {"prompt": "0.1"}}})


def test_limits_by_which_no_body_can_be_held_are_refused() -> None:
    """Each body would be answered with 503, for ever."""
    with pytest.raises(
        ConfigError, match=r"server\.max_buffered_bytes: 50,331,648 .* \(100,000,000\); allow 114,285,715"
    ):
        merge_settings({}, {"server.max_body_bytes": 100_000_000}, environ={})

    merge_settings({}, {"server.max_body_bytes": 100_000_000, "server.max_buffered_bytes": 114_285_715}, environ={})


@pytest.mark.parametrize(("limits", "running"), [({}, 16), ({"max_running": 64}, 64)])
def test_a_vision_model_runs_as_many_requests_as_the_line_before_it_lets_through(
    limits: dict[str, int], running: int
) -> None:
    settings = settings_of({"limits": limits})

    vision, _ = engine_specs(settings)

    assert vision.options["max_running"] == running == settings.max_running


@pytest.mark.parametrize(
    ("card", "kinds"),
    [
        ('{"ocr_max_chars": 640}', ["genai", "transcribe"]),
        ('{"ocr_max_chars": 0}', ["genai"]),
        ('{"id": "a/b"}', ["genai"]),
        ("[]", ["genai"]),
        ("{", ["genai"]),
        (None, ["genai"]),
    ],
)
def test_model_folder_that_has_pictures_read_brings_the_transcriber(
    tmp_path: Path, card: str | None, kinds: list[str]
) -> None:
    if card is not None:
        (tmp_path / "sightline.json").write_text(card)
    settings = Settings(engines=(EngineSpec("genai", {"path": str(tmp_path)}),))

    assert [spec.kind for spec in engine_specs(settings)] == kinds


UPSTREAM = """
    [[upstreams]]
    urls = ["http://one:8000/v1", "https://two"]
    key_env = "VLLM_KEY"
    [upstreams.models."ours/model"]
    id = "theirs"
    image = {kind = "square", size_px = 192, tokens = 36}
"""


def test_upstreams_come_from_the_file_and_their_key_from_the_environment(tmp_path: Path) -> None:
    (pool,) = load(tmp_path, UPSTREAM, VLLM_KEY="sk-quokka").upstreams

    assert pool.urls == ("http://one:8000/v1", "https://two")
    assert pool.models["ours/model"].image == ImageEncoding("square", 192, 36)
    assert pool.key is not None
    assert pool.key.get_secret_value() == "sk-quokka"
    assert "quokka" not in repr(pool)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (UPSTREAM, "no VLLM_KEY"),
        (UPSTREAM.replace('key_env = "VLLM_KEY"', 'key = "sk-1"'), "key_env instead"),
        ('[[upstreams]]\nurls = ["http://user:password@host"]', "upstreams.0.urls"),
        ('[[upstreams]]\nurls = ["ftp://host"]', "upstreams.0.urls"),
        ("[[upstreams]]\nurls = []", "upstreams.0.urls"),
        ('[[upstreams]]\nurls = ["http://host:99999"]', "upstreams.0.urls.0: .*Port out of range"),
        ('[[upstreams]]\nurls = ["http://host?api-version=1"]', "upstreams.0.urls.0: .*match pattern"),
        ('[[upstreams]]\nurls = ["http://a..b:8000/v1"]', "upstreams.0.urls.0: .*no name or number"),
        ('[[upstreams]]\nurls = ["http://hóst"]', "upstreams.0.urls.0: .*must be ASCII"),
        ("upstreams = 1", "upstreams"),
    ],
)
def test_upstreams_that_cannot_be_are_refused(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, toml)


def test_key_that_no_header_can_carry_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="VLLM_KEY has characters") as refusal:
        load(tmp_path, UPSTREAM, VLLM_KEY="sk-quokka\r\nx: y")

    assert "quokka" not in str(refusal.value)


def test_upstream_argument_is_a_pool() -> None:
    pool = upstream_pool("http://one,http://two", environ={"SIGHTLINE_UPSTREAM_KEY": "sk-quokka"})

    assert pool.urls == ("http://one", "http://two")
    assert pool.key is not None
    assert upstream_pool("http://one", environ={}).key is None


def test_upstream_model_that_has_pictures_read_brings_the_transcriber_once(tmp_path: Path) -> None:
    model = '[[upstreams]]\nurls = ["http://one"]\n[upstreams.models."a/b"]\nid = "b"\nocr_max_chars = {}\n'

    kinds = [
        [spec.kind for spec in engine_specs(load(tmp_path, extra + model.format(most)))]
        for extra, most in (("", 0), ("", 900), ('[[engines]]\nkind = "transcribe"\n', 900))
    ]

    assert kinds == [[], ["transcribe"], ["transcribe"]]
    assert [load(tmp_path, model.format(most)).max_running for most in (0, 900)] == [256, DEFAULT_MAX_RUNNING]
