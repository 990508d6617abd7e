"""Whether calls are traced: by the settings, else by OpenTelemetry's own variables, and never without its packages."""

import pytest

from hypereal.kit.settings import BadSettings, Settings, TracesSection, load
from hypereal.serve import tracing
from hypereal.serve.faults import CannotServe

URL = "http://127.0.0.1:4318"
SET = Settings(traces=TracesSection(endpoint=URL))
VARIABLE = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL}


def test_settings_or_variables_want_traces_and_variables_can_forbid_them() -> None:
    assert not tracing.is_wanted(Settings(), {})
    assert tracing.is_wanted(SET, {})
    assert tracing.is_wanted(Settings(), VARIABLE)
    assert not tracing.is_wanted(SET, {"OTEL_SDK_DISABLED": "true"})
    assert not tracing.is_wanted(Settings(), VARIABLE | {"OTEL_TRACES_EXPORTER": "none"})


def test_missing_packages_stop_the_start_only_where_the_settings_want_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "is_installed", lambda: False)
    assert not tracing.is_wanted(Settings(), VARIABLE)
    with pytest.raises(CannotServe, match=r"hypereal\[otel\]"):
        tracing.is_wanted(SET, {})


def test_an_endpoint_is_an_address_without_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYPEREAL_CONFIG", raising=False)
    for text in ("127.0.0.1:4318", "grpc://host:4317", "https://user:secret@host", "http://host/?key=1"):
        with pytest.raises(BadSettings, match=r"traces\.endpoint"):
            load(None, {"traces": {"endpoint": text}})
