"""The settings of models, faces, voices and their fusion."""

from __future__ import annotations

from dataclasses import dataclass

from affectd.config.setting import setting
from affectd.inference.accelerators.options import options_fault
from affectd.inference.manifest import KINDS

VARIANTS = ("auto", *KINDS)


def _is_library_path(delegate: str) -> bool:
    """Whether a delegate is a path; a name alone is looked for where the system's libraries are."""
    return "/" in delegate or delegate.startswith("~")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceConfig:
    """Which models run, and on what."""

    models: str = setting("", "Folder of bundles. Empty: the one that came with affectd.", path=bool)
    face: str = setting("face-vgg16", "Bundle for faces; 'off' for none.")
    voice: str = setting("voice-cnn-lstm", "Bundle for voices; 'off' for none.")
    face_model: str = setting(
        "", "Folder of a bundle for faces, wherever it lies. Empty: the one in 'models' that 'face' names.", path=bool
    )
    voice_model: str = setting(
        "", "Folder of a bundle for voices, wherever it lies. Empty: the one in 'models' that 'voice' names.", path=bool
    )
    variant: str = setting(
        "auto",
        "Which variant of the models. 'auto' takes the best that is there: int8 where it answers as its float parent, "
        "else dynamic, float16 or float32.",
        choices=VARIANTS,
    )
    face_variant: str = setting("", "Which variant of the model for faces. Empty: 'variant'.", choices=("", *VARIANTS))
    voice_variant: str = setting(
        "", "Which variant of the model for voices. Empty: 'variant'.", choices=("", *VARIANTS)
    )
    runtime: str = setting(
        "auto", "'auto' takes LiteRT where it is installed.", choices=("auto", "litert", "tflite-runtime")
    )
    delegate: str = setting(
        "cpu",
        "'cpu'; 'edgetpu', 'teflon', 'armnn', 'vx' or a TFLite delegate library's path; 'gpu' for LiteRT's; or 'auto' "
        "for the fastest of these that is here and right. Tried in a process of its own; one that fails there, takes "
        "nothing of the model or answers wrongly is left for the CPU.",
        path=_is_library_path,
    )
    options: str = setting(
        "",
        "Options of the delegate's library: key=value,key=value. Not for 'cpu', 'gpu' and 'auto'.",
        fault=options_fault,
    )
    threads: int = setting(
        1, "Threads of one model on the CPU. 0: as many as are fastest, measured once.", low=0, high=8
    )

    @property
    def tries_accelerators(self) -> bool:
        """Whether anything is tried before a model is opened; not so for the CPU with a given number of threads."""
        return self.delegate != "cpu" or not self.threads


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig:
    """How faces are found."""

    detector: str = setting(
        "haar",
        "'haar' comes with OpenCV. 'blazeface' is faster and sees tilted and dim faces; 'affectd fetch blazeface' "
        "fetches its file.",
        choices=("haar", "blazeface"),
    )
    detect_every: int = setting(5, "Run the detector on every n-th frame and track in between.", low=1, high=100)
    min_size: float = setting(0.1, "Smallest face, as a fraction of the picture's height.", low=0.03, high=1)
    max_faces: int = setting(3, "Faces classified in one frame, largest first.", low=1, high=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceConfig:
    """How speech is detected and read."""

    hop_s: float = setting(0.5, "Seconds between two voice readings.", low=0.1, high=5)
    activity: str = setting(
        "auto",
        "How speech is told from other sound: by 'silero', a small network, or by 'level' and voicing, which takes "
        "music and alarms for speech. 'auto' takes Silero where it is installed.",
        choices=("auto", "silero", "level"),
    )
    min_snr_db: float = setting(
        -10.0, "A voice that is less than this over the background is taken for none.", low=-10, high=40
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    """How face and voice become one emotion, and when a change is an event."""

    strategy: str = setting(
        "adaptive",
        "How face and voice are combined.",
        choices=("weighted_average", "hybrid", "adaptive", "face", "voice"),
    )
    face_weight: float = setting(0.6, "Weight of the face in weighted_average; the voice has the rest.", low=0, high=1)
    enter: float = setting(0.5, "An emotion begins when its smoothed probability reaches this.", low=0.2, high=0.99)
    leave: float = setting(0.35, "It may end when its probability falls below this.", low=0.05, high=0.98)
    dwell_s: float = setting(0.8, "A new emotion must lead for this long before it is an event.", low=0, high=60)
    half_life_s: float = setting(
        1.0, "Memory of the smoothing: an emotion persists with this half-life.", low=0.05, high=60
    )
    absent_s: float = setting(2.0, "Without evidence for this long nobody is there.", low=0.2, high=600)
    people: str = setting(
        "front",
        "Whose changes are events: those of the person in front, or of all in view. /people has everybody anyway.",
        choices=("front", "all"),
    )
