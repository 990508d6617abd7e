"""The program that hears a recording: `python -m hypereal.gateway.media.listening MODEL TYPE < recording`.

It tells a `Heard` as JSON. Only this process has the model; it ends with its one answer.
"""

import sys

import msgspec
from faster_whisper import WhisperModel

from hypereal.gateway.media import sounds
from hypereal.gateway.media.speaking import Heard
from hypereal.providers.drivers import Segment

HZ = 16_000
THREADS = 1
BEAMS = 1


def main() -> None:
    """Listen, and tell."""
    model, content_type = sys.argv[1:]
    samples = sounds.samples_of(sys.stdin.buffer.read(), content_type, HZ)
    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True)
    found, _ = whisper.transcribe(samples, language="en", beam_size=BEAMS, condition_on_previous_text=False)
    segments = tuple(Segment(start_s=one.start, end_s=one.end, text=one.text.strip()) for one in found)
    text = " ".join(one.text for one in segments)
    told = Heard(text=text, seconds=len(samples) / HZ, segments=segments)
    sys.stdout.buffer.write(msgspec.json.encode(told))


if __name__ == "__main__":
    main()
