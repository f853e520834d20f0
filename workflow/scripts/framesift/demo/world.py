"""Plan and render one video of the demo world.

A video shows a muted, drifting background with grey clutter. Now and then an *event* appears for 2 to 4 seconds: a
coloured shape that carries a digit. A *decoy* is the same coloured shape without a digit, and stays much longer. A
coloured *border* runs round every frame and changes in spells.

Everything is decided by (world spec, video id), so videos can be rendered in parallel and in any order. Geometry is
given in units of a 128-pixel frame and scaled to the frame size asked for.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from framesift.demo.config import DIGIT_COUNT, DemoWorld, class_seconds, video_class, video_ids
from framesift.storage.files import atomic_write

COLOURS = {
    "red": (225, 35, 35),
    "green": (35, 180, 50),
    "blue": (45, 70, 235),
    "yellow": (240, 225, 40),
    "pink": (245, 80, 210),
    "cyan": (40, 225, 230),
}
COLOUR_NAMES = list(COLOURS)
SHAPES = ["circle", "square", "triangle", "star", "diamond", "cross"]
DIGITS = [str(value) for value in range(DIGIT_COUNT)]
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)

BASE_SIZE = 128  # the geometry below is in pixels of a frame this large
BORDER = 6  # thickness of the coloured border
QUADRANT = 64  # an event stays inside one quarter of the frame, which is one patch of the models
RADIUS_RANGE = (18.5, 22.0)
PLACE_JITTER = 2.5  # an event is up to this far, in x and in y, from the middle of its quarter
EVENT_SECONDS = (2.2, 4.0)
DECOY_SECONDS = (11.0, 15.0)
MINIMUM_GAP = 1.5  # seconds between neighbouring events, so that no two are ever on screen together
DECOY_DISTANCE = 0.2  # a decoy starts at least this share of the video away from its event
PAIR_DISTANCE = 0.32  # the two events of a two-moments question are at least this share of the video apart
MINOR_SPELL_SECONDS = (9.0, 16.0)
MAJOR_SHARE = (0.66, 0.74)
COLOURS_PER_VIDEO = SHAPES_PER_VIDEO = 4
LAYOUT_ATTEMPTS = 5000


@dataclass(frozen=True)
class Event:
    """A coloured shape on screen from ``start`` to ``end`` seconds; ``digit`` is None for a decoy."""

    colour: str
    shape: str
    digit: str | None
    start: float
    end: float
    x: float
    y: float
    radius: float
    font: int
    drift_x: float
    drift_y: float


@dataclass(frozen=True)
class Spell:
    """The border has ``colour`` from ``start`` to ``end`` seconds."""

    colour: str
    start: float
    end: float


@dataclass(frozen=True)
class VideoPlan:
    """Everything that happens in one video.

    ``events`` are in asking order, not in time order: first those of one-moment questions, then the pairs of
    two-moments questions, then one that nobody asks about. ``decoys[i]`` is the decoy of ``events[i]`` or None.
    """

    video_id: str
    duration: str
    seconds: float
    events: tuple[Event, ...]
    decoys: tuple[Event | None, ...]
    border: tuple[Spell, ...]


def stream(world: DemoWorld, video_id: str, purpose: str) -> np.random.Generator:
    """A random generator for one purpose of one video; purposes are independent of one another."""
    return np.random.default_rng([world.seed, zlib.crc32(video_id.encode()), zlib.crc32(purpose.encode())])


def decoyed_events(world: DemoWorld) -> list[int]:
    """Indices of the events that get a decoy: those of digit questions and one of each pair, in turn."""
    singles = [k for k in range(world.one_moment_questions) if k % 2 == 0]
    pairs = [world.one_moment_questions + 2 * k for k in range(world.two_moments_questions)]
    order = []
    for k in range(max(len(singles), len(pairs))):
        order += singles[k : k + 1] + pairs[k : k + 1]
    return order[: world.decoys]


def event_pairs(world: DemoWorld) -> list[tuple[int, int]]:
    """Indices of the two events of each two-moments question."""
    first = world.one_moment_questions
    return [(first + 2 * k, first + 2 * k + 1) for k in range(world.two_moments_questions)]


def plan_video(world: DemoWorld, video_id: str) -> VideoPlan:
    """Plan everything that one video shows, from the world spec and the video id alone."""
    duration = video_class(world, video_id)
    seconds = float(class_seconds(world, duration))
    rng = stream(world, video_id, "events")
    count = min(DIGIT_COUNT, max(8, world.one_moment_questions + 2 * world.two_moments_questions + 1))
    looks = _draw_looks(rng, count)
    digits = rng.permutation(DIGITS)[:count]
    decoyed = decoyed_events(world)
    starts, lengths = _lay_out(rng, seconds, count, decoyed, event_pairs(world))
    events = [_draw_event(rng, looks[k], str(digits[k]), starts[k], lengths[k]) for k in range(count)]
    decoys: list[Event | None] = [None] * count
    for slot, owner in enumerate(decoyed, start=count):
        decoys[owner] = _draw_event(rng, looks[owner], None, starts[slot], lengths[slot])
    border = _plan_border(stream(world, video_id, "border"), seconds, mixed=video_ids(world).index(video_id) % 2 == 0)
    return VideoPlan(video_id, duration, seconds, tuple(events), tuple(decoys), border)


def _draw_looks(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Distinct (colour, shape) pairs; each colour and each shape is shared by at least two events.

    Sharing is what makes an event confusable: knowing only its colour or only its shape is not enough.
    """
    colours = rng.permutation(COLOUR_NAMES)[:COLOURS_PER_VIDEO]
    shapes = rng.permutation(SHAPES)[:SHAPES_PER_VIDEO]
    everything = [(str(colour), str(shape)) for colour in colours for shape in shapes]
    while True:
        looks = [everything[k] for k in rng.permutation(len(everything))[:count]]
        colour_uses = [sum(look[0] == colour for look in looks) for colour in colours]
        shape_uses = [sum(look[1] == shape for look in looks) for shape in shapes]
        if min(colour_uses + shape_uses) >= 2:
            return looks


def _lay_out(
    rng: np.random.Generator, seconds: float, count: int, decoyed: list[int], pairs: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Start and length in seconds of each event, then of each decoy, without overlap and at the required distances."""
    lengths = np.concatenate([rng.uniform(*EVENT_SECONDS, count), rng.uniform(*DECOY_SECONDS, len(decoyed))])
    free = seconds - lengths.sum() - MINIMUM_GAP * (len(lengths) + 1)
    if free < 0:
        raise ValueError(f"a video of {seconds:.0f} s has no room for its events. Hint: longer videos or fewer decoys.")
    for _ in range(LAYOUT_ATTEMPTS):
        order = rng.permutation(len(lengths))
        gaps = MINIMUM_GAP + free * rng.dirichlet(np.full(len(lengths) + 1, 1.5))
        starts = np.empty(len(lengths))
        starts[order] = np.cumsum(gaps[:-1]) + np.concatenate([[0.0], np.cumsum(lengths[order])[:-1]])
        middles = starts + lengths / 2
        far_decoys = all(
            abs(middles[count + k] - middles[owner]) > DECOY_DISTANCE * seconds for k, owner in enumerate(decoyed)
        )
        far_pairs = all(abs(middles[a] - middles[b]) > PAIR_DISTANCE * seconds for a, b in pairs)
        if far_decoys and far_pairs:
            return starts, lengths
    raise ValueError(f"no layout of {len(lengths)} events fits {seconds:.0f} s. Hint: longer videos or fewer decoys.")


def _plan_border(rng: np.random.Generator, seconds: float, mixed: bool) -> tuple[Spell, ...]:
    """One colour for the whole video, or spells of two colours with about 70 and 30 per cent of the video."""
    major, minor = (str(name) for name in rng.permutation(COLOUR_NAMES)[:2])
    if not mixed:
        return (Spell(major, 0.0, seconds),)
    share = rng.uniform(*MAJOR_SHARE)
    cycles = max(3, round(seconds * (1 - share) / np.mean(MINOR_SPELL_SECONDS)))
    minor_lengths = rng.uniform(*MINOR_SPELL_SECONDS, cycles)
    minor_lengths *= seconds * (1 - share) / minor_lengths.sum()
    major_lengths = rng.uniform(0.5, 1.5, cycles + 1)
    major_lengths *= seconds * share / major_lengths.sum()
    spells, now = [], 0.0
    for k in range(cycles + 1):
        spells.append(Spell(major, now, now + major_lengths[k]))
        now += major_lengths[k]
        if k < cycles:
            spells.append(Spell(minor, now, now + minor_lengths[k]))
            now += minor_lengths[k]
    return tuple(spells)


def _draw_event(
    rng: np.random.Generator, look: tuple[str, str], digit: str | None, start: float, length: float
) -> Event:
    """Place an event somewhere inside one quarter of the frame, clear of the border."""
    radius = rng.uniform(*RADIUS_RANGE)
    centre = (BORDER + QUADRANT) / 2 + rng.uniform(-PLACE_JITTER, PLACE_JITTER, 2)  # upper left, then mirrored
    mirrored = rng.integers(0, 2, 2).astype(bool)
    x, y = np.where(mirrored, BASE_SIZE - centre, centre)
    drift = rng.uniform(-0.4, 0.4, 2) if digit is not None else rng.uniform(-0.1, 0.1, 2)
    return Event(
        *look, digit, float(start), float(start + length), float(x), float(y), float(radius),
        int(rng.integers(len(FONTS))), float(drift[0]), float(drift[1]),
    )  # fmt: skip


# ---------------------------------------------------------------- rendering


def _outline(shape: str, x: float, y: float, radius: float) -> np.ndarray:
    """Corners of a shape, shape (n, 2), up to about 1.15 radii from its centre."""
    if shape == "square":
        half = 0.9 * radius
        points = [(-half, -half), (half, -half), (half, half), (-half, half)]
    elif shape == "triangle":
        points = [(0, -1.15 * radius), (1.15 * radius, 0.9 * radius), (-1.15 * radius, 0.9 * radius)]
    elif shape == "diamond":
        reach = 1.15 * radius
        points = [(0, -reach), (reach, 0), (0, reach), (-reach, 0)]
    elif shape == "star":
        angles = np.deg2rad(-90 + 36 * np.arange(10))
        reaches = np.where(np.arange(10) % 2 == 0, 1.2, 0.6) * radius
        points = np.stack([reaches * np.cos(angles), reaches * np.sin(angles)], axis=1)
    elif shape == "cross":
        arm, reach = 0.48 * radius, 1.15 * radius
        corner = [(-arm, -reach), (arm, -reach), (arm, -arm), (reach, -arm), (reach, arm), (arm, arm)]
        points = corner + [(-px, -py) for px, py in corner]
    else:
        raise ValueError(f"shape is {shape!r}, expected one of {SHAPES}")
    return np.asarray(points, dtype=np.float64) + (x, y)


def _fixed_point(values: np.ndarray | float) -> np.ndarray:
    """OpenCV draws at sub-pixel positions when coordinates carry four fractional bits."""
    return np.round(np.asarray(values) * 16).astype(np.int32)


def draw_event(image: np.ndarray, event: Event, x: float, y: float) -> None:
    """Draw an event centred at (x, y) into an RGB image (H, W, 3), in place."""
    unit = image.shape[0] / BASE_SIZE
    radius, colour = event.radius * unit, COLOURS[event.colour]
    if event.shape == "circle":
        centre = tuple(int(v) for v in _fixed_point([x * unit, y * unit]))
        cv2.circle(image, centre, int(_fixed_point(radius)), colour, -1, cv2.LINE_AA, 4)
    else:
        cv2.fillPoly(image, [_fixed_point(_outline(event.shape, x * unit, y * unit, radius))], colour, cv2.LINE_AA, 4)
    if event.digit is not None:
        font, scale = FONTS[event.font], radius / 19
        (width, height), _ = cv2.getTextSize(event.digit, font, scale, 2)
        corner = (round(x * unit - width / 2), round(y * unit + height / 2))
        # a black outline under a white digit keeps it readable on every colour
        outline, stroke = max(3, round(0.40 * radius)), max(1, round(0.16 * radius))
        cv2.putText(image, event.digit, corner, font, scale, (0, 0, 0), outline, cv2.LINE_AA)
        cv2.putText(image, event.digit, corner, font, scale, (255, 255, 255), stroke, cv2.LINE_AA)


def draw_border(image: np.ndarray, colour: str) -> None:
    """Draw the coloured border into an RGB image (H, W, 3), in place."""
    edge = round(BORDER * image.shape[0] / BASE_SIZE)
    for strip in (image[:edge], image[-edge:], image[:, :edge], image[:, -edge:]):
        strip[:] = COLOURS[colour]


class Background:
    """A muted colour field that drifts between key colours, with a few grey shapes moving across it."""

    KEY_SECONDS = 12.0
    CLUTTER = 4

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        keys = int(seconds / self.KEY_SECONDS) + 3
        level = rng.uniform(50, 170, (keys, 1, 1, 1))
        tint = rng.uniform(-18, 18, (keys, 4, 4, 3))
        light = rng.uniform(-35, 35, (keys, 4, 4, 1))
        self.keys = (level + tint + light).astype(np.float32)
        self.places = rng.uniform(0, BASE_SIZE, (self.CLUTTER, 2))
        self.speeds = rng.uniform(-2, 2, (self.CLUTTER, 2))
        self.sizes = rng.uniform(5, 13, self.CLUTTER)
        self.greys = rng.integers(40, 200, self.CLUTTER)

    def render(self, time: float, size: int) -> np.ndarray:
        """RGB image (size, size, 3), uint8, at ``time`` seconds."""
        whole, part = divmod(time / self.KEY_SECONDS, 1.0)
        ease = part * part * (3 - 2 * part)
        field = self.keys[int(whole)] * (1 - ease) + self.keys[int(whole) + 1] * ease
        image = np.clip(cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
        unit = size / BASE_SIZE
        for k in range(self.CLUTTER):
            x, y = ((self.places[k] + self.speeds[k] * time) % (BASE_SIZE + 30) - 15) * unit
            reach, grey = self.sizes[k] * unit, (int(self.greys[k]),) * 3
            if k % 2 == 0:
                cv2.circle(image, (int(x), int(y)), int(reach), grey, -1, cv2.LINE_AA)
            else:
                cv2.rectangle(
                    image, (int(x - reach), int(y - 0.6 * reach)), (int(x + reach), int(y + 0.6 * reach)), grey, -1
                )
        return image


def render_frame(plan: VideoPlan, background: Background, time: float, size: int) -> np.ndarray:
    """RGB frame (size, size, 3), uint8, of a planned video at ``time`` seconds."""
    image = background.render(time, size)
    for event in plan.events + tuple(decoy for decoy in plan.decoys if decoy is not None):
        if event.start <= time < event.end:
            offset = time - (event.start + event.end) / 2
            draw_event(image, event, event.x + event.drift_x * offset, event.y + event.drift_y * offset)
    spell = next((spell for spell in plan.border if spell.start <= time < spell.end), plan.border[-1])
    draw_border(image, spell.colour)
    return image


def write_video(world: DemoWorld, video_id: str, path: Path) -> None:
    """Render one video to an H.264 file, written atomically."""
    import av

    cv2.setNumThreads(1)
    plan = plan_video(world, video_id)
    background = Background(stream(world, video_id, "background"), plan.seconds)
    for left in path.parent.glob(f".{path.stem}.*.tmp{path.suffix}"):  # of a rendering that was killed
        left.unlink(missing_ok=True)
    with atomic_write(path) as temporary, av.open(str(temporary), "w") as container:
        video = container.add_stream("libx264", rate=world.fps)
        video.width = video.height = world.frame_size
        video.pix_fmt = "yuv420p"
        video.options = {"crf": str(world.crf), "preset": "veryfast", "g": str(world.fps * 10), "threads": "1"}
        for index in range(int(plan.seconds * world.fps)):
            image = render_frame(plan, background, index / world.fps, world.frame_size)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
