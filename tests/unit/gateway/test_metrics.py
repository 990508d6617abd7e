"""Counters and histograms as plain integers."""

from hypereal.gateway import BOUNDS_S
from hypereal.gateway.metrics import METERS_MAX, Meters
from hypereal.kit.usage import Usage


def test_a_call_falls_into_the_bucket_of_its_time():
    meter = Meters().of("gpt-5", "openai")
    meter.count("ok", BOUNDS_S[2], BOUNDS_S[-1] + 1)
    assert meter.first_byte_buckets[2] == 1
    assert meter.duration_buckets[-1] == 1
    assert sum(meter.first_byte_buckets) == sum(meter.duration_buckets) == meter.calls["ok"] == 1


def test_spending_adds_up():
    meter = Meters().of("gpt-5", "openai")
    usage = Usage(input_tokens=1, cache_write_tokens=2, cache_write_1h_tokens=3, output_tokens=4, is_estimated=True)
    for _ in range(2):
        meter.spend(usage, charged=5, written_off=6)
    assert (meter.input_tokens, meter.cache_write_tokens, meter.output_tokens) == (2, 10, 8)
    assert (meter.charged, meter.written_off, meter.estimated) == (10, 12, 2)


def test_meters_are_bounded():
    meters = Meters()
    for number in range(METERS_MAX + 10):
        meters.of(f"model-{number}", "p")
    assert len(list(meters)) <= METERS_MAX + 1
    assert meters.of("one-more", "p").model == "other"
