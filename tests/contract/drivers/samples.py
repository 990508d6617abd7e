"""One work, or more, for every route of every driver: 'vendor/route' or 'vendor/route/what it shows'."""

from dataclasses import dataclass

from tests.support.media_vendors import MP3, PNG

from hypereal.providers.drivers import DRIVERS, Kind, Media, Route, Work

IMAGE = Media(body=PNG, content_type="image/png")
LINK = Media(url="https://images.example/cat.png")
SOUND = Media(body=MP3, content_type="audio/mpeg")
CALLBACK = "https://gateway.example/callbacks/1"
SECRET = "secret-of-the-job"


@dataclass
class Sample:
    name: str
    work: Work

    @property
    def vendor(self) -> str:
        return self.name.split("/")[0]

    @property
    def route(self) -> Route:
        return next(one for one in DRIVERS[self.vendor].routes if one.name == self.name.split("/")[1])


def drawn(model: str, *references: Media, **members: object) -> Work:
    kind = Kind.IMAGE_EDIT if references else Kind.IMAGE
    return Work(kind=kind, model=model, prompt="a cat", references=references, **members)  # type: ignore[arg-type]


def filmed(model: str, *references: Media, **members: object) -> Work:
    asked = {"duration_s": 5, "aspect_ratio": "16:9", "resolution": "720p", **members}
    return Work(kind=Kind.VIDEO, model=model, prompt="a cat walks", references=references, **asked)  # type: ignore[arg-type]


def spoken(model: str, **members: object) -> Work:
    return Work(kind=Kind.SPEECH, model=model, text="Hello there.", voice="voice-1", format="mp3", **members)  # type: ignore[arg-type]


def heard(model: str) -> Work:
    return Work(kind=Kind.TRANSCRIPT, model=model, audio=SOUND, language="en")


WORKS = {
    "ark/image": drawn("doubao-seedream-4-0-250828", aspect_ratio="16:9", resolution="2K", seed=7),
    "ark/image/of one": drawn("doubao-seedream-4-0-250828", IMAGE, size=(2048, 2048)),
    "ark/image/of two": drawn("doubao-seedream-4-0-250828", LINK, IMAGE, resolution="4K", aspect_ratio="21:9"),
    "ark/video": filmed("doubao-seedance-1-0-pro-250528", callback_url=CALLBACK),
    "ark/video/frames": filmed("doubao-seedance-1-5-pro-251215", LINK, last_image=IMAGE),
    "ark/video/references": filmed("doubao-seedance-2-0-260128", LINK, IMAGE),
    "bfl/image": drawn("flux-2-pro", size=(1024, 768), seed=7, callback_url=CALLBACK, callback_secret=SECRET),
    "bfl/image/of two": drawn("flux-kontext-max", LINK, IMAGE, aspect_ratio="16:9", format="png"),
    "dashscope/video": filmed("wan2.6-t2v", extra={"shot_type": "multi", "negative_prompt": "dogs"}),
    "dashscope/video/of one": filmed("wan2.6-t2v", LINK, resolution="1080p"),
    "dashscope/video/of two": filmed("wan2.6-t2v", LINK, IMAGE),
    "dashscope/video/frames": filmed("wan2.2-kf2v-flash", LINK, last_image=LINK),
    "dashscope/video/third": filmed("wan2.7-i2v", LINK, last_image=LINK),
    "elevenlabs/speech": spoken("eleven_flash_v2_5", language="en"),
    "elevenlabs/transcript": heard("scribe_v2"),
    "fal/run": drawn("fal-ai/flux/dev", size=(1024, 768), n=2, callback_url=CALLBACK),
    "fal/run/edit": drawn("fal-ai/nano-banana/edit", LINK, IMAGE),
    "fal/run/sister": drawn("fal-ai/nano-banana-2", LINK),
    "fal/run/video": filmed("fal-ai/kling-video/v2.6/pro/image-to-video", LINK),
    "fal/run/frames": filmed("fal-ai/kling-video/v2.6/pro/image-to-video", LINK, last_image=LINK, duration_s=10),
    "fal/run/seconds": filmed("fal-ai/veo3.1", duration_s=8),
    "fish/speech": spoken("s2.1-pro", extra={"latency": "low"}),
    "fish/clone": Work(kind=Kind.CLONE, model="s2.1-pro", text="Hello.", audio=SOUND, extra={"reference_text": "Bye."}),
    "fish/transcript": heard("transcribe-1"),
    "google/image": drawn("gemini-3.1-flash-image-preview", aspect_ratio="16:9", resolution="0.5K", seed=7),
    "google/image/of two": drawn("gemini-2.5-flash-image", IMAGE, IMAGE, size=(1024, 1536), resolution="1K"),
    "google/imagen": drawn("imagen-4.0-generate-001", aspect_ratio="16:9", n=2),
    "google/veo": filmed("veo-3.1-generate-preview", duration_s=8),
    "google/veo/frames": filmed("veo-3.1-fast-generate-preview", IMAGE, last_image=IMAGE, duration_s=8),
    "google/veo/references": filmed("veo-3.1-generate-preview", IMAGE, IMAGE, duration_s=8),
    "kling/image": drawn("kling-v2-1", aspect_ratio="1:1", resolution="2K", key="job-1"),
    "kling/video": filmed("kling-v2-6", key="job-1", callback_url=CALLBACK, extra={"cfg_scale": 0.5}),
    "kling/video/frames": filmed("kling-v3", IMAGE, last_image=LINK, resolution="1080p", key="job-1"),
    "kling/video/omni": filmed("kling-v3-omni", LINK, IMAGE, key="job-1"),
    "minimax/video": filmed("MiniMax-Hailuo-02", duration_s=6, callback_url=CALLBACK),
    "minimax/video/frames": filmed("MiniMax-Hailuo-02", LINK, last_image=IMAGE, duration_s=6, resolution="1080p"),
    "minimax/second": filmed("MiniMax-H3", LINK, duration_s=6, resolution="768P"),
    "openai/image": drawn("gpt-image-2", size=(1024, 1024), n=2, quality="high", extra={"background": "opaque"}),
    "openai/image/tall": drawn("gpt-image-2", aspect_ratio="9:16"),
    "openai/image/2K": drawn("gpt-image-2", aspect_ratio="9:16", resolution="2K"),
    "openai/video/tall": filmed("sora-2-pro", duration_s=8, aspect_ratio="9:16", resolution="1080p"),
    "openai/edit": drawn("gpt-image-2", IMAGE, IMAGE, mask=IMAGE, size=(1024, 1024)),
    "openai/video": filmed("sora-2", duration_s=8, size=(1280, 720)),
    "openai/video/of one": filmed("sora-2", IMAGE, duration_s=8, size=(1280, 720)),
    "openai/speech": spoken("gpt-4o-mini-tts", extra={"instructions": "softly"}),
    "openai/transcript": heard("whisper-1"),
    "openai/transcript/whole": heard("gpt-4o-transcribe"),
    "replicate/prediction": drawn("black-forest-labs/flux-schnell", aspect_ratio="1:1", callback_url=CALLBACK),
    "replicate/prediction/video": filmed("owner/some-video", LINK),
    "replicate/prediction/frames": filmed("kwaivgi/kling-v2.6", LINK, last_image=LINK),
    "replicate/prediction/of two": drawn("black-forest-labs/flux-2-pro", LINK, IMAGE),
    "replicate/prediction/version": drawn("owner/name:0123abc", LINK),
    "toapis/image": drawn("gpt-image-2", aspect_ratio="1:1", resolution="2K", n=2, seed=7),
    "toapis/video": filmed("kling-v3", LINK, last_image=LINK, extra={"negative_prompt": "dogs"}, key="job-1"),
    "vidu/video": filmed("viduq3-pro", callback_url=CALLBACK),
    "vidu/video/of one": filmed("viduq3-pro", LINK),
    "vidu/video/frames": filmed("viduq3-pro", LINK, last_image=IMAGE),
    "vidu/video/references": filmed("viduq2", LINK, IMAGE),
    "xai/image": drawn("grok-imagine-image", aspect_ratio="16:9", resolution="1K"),
    "xai/image/of two": drawn("grok-imagine-image", LINK, IMAGE),
    "xai/video": filmed("grok-imagine-video", LINK),
    "xai/video/references": filmed("grok-imagine-video", LINK, IMAGE),
}
SAMPLES = {name: Sample(name, work) for name, work in WORKS.items()}
TASKS = [name for name, sample in SAMPLES.items() if not sample.route.is_direct]
DIRECT = [name for name, sample in SAMPLES.items() if sample.route.is_direct]
FIRST_TASKS = [name for name in TASKS if name.count("/") == 1]
"""One a route: how answers are read does not hang on what was asked for."""
