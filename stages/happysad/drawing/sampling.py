"""Sample who is in a drawn picture, with what expression, and how they are photographed.

Only ``Expression`` depends on the label; ``Identity`` and ``Scene`` come from one distribution for both
classes, so that nothing else distinguishes them. A face is described by action units (AU) of the Facial
Action Coding System (Ekman and Friesen 1978): AU6 and AU12 make a happy one, AU1, AU4 and AU15 a sad one
(their EMFACS table). The rest of an expression is how the head is held: sadness is often a bowed one.

Lengths are in face units (half the height of a head), angles in radians, colours sRGB from 0 to 1.
x points right, y down and z towards the camera. The numbers below were set by eye, by comparing the mean and
the contrast of the drawings with those of photographs, both cropped to the face, and by what a CNN trained on
the drawings scored on photographs.
"""

import math
from dataclasses import dataclass

import numpy as np

# From pale to dark; a person's skin is a blend of two neighbours.
SKIN = np.array([
    [255, 224, 202], [247, 208, 180], [234, 188, 154], [212, 163, 126],
    [180, 130, 98], [150, 104, 77], [122, 85, 64], [100, 69, 54],
]) / 255  # fmt: skip
# Black and browns (the first three, the most common), blonds, red, greys.
HAIR = np.array([
    [22, 18, 17], [44, 31, 25], [78, 52, 36], [120, 84, 54], [172, 134, 90],
    [210, 182, 136], [140, 70, 42], [150, 148, 146], [210, 208, 204],
]) / 255  # fmt: skip
# Browns (the first two), green, blue, grey.
IRIS = np.array([[52, 32, 20], [84, 54, 30], [90, 110, 70], [86, 124, 152], [112, 128, 136]]) / 255


@dataclass
class Expression:
    """Action units, each from 0 (absent) to 1 (as strong as a face can show it), and what goes with them."""

    au1: float = 0.0  # inner brow raiser
    au2: float = 0.0  # outer brow raiser
    au4: float = 0.0  # brow lowerer: lower, closer, furrowed
    au6: float = 0.0  # cheek raiser: cheeks and lower lids up
    au12: float = 0.0  # lip corner puller
    au15: float = 0.0  # lip corner depressor
    au17: float = 0.0  # chin raiser: lower lip pushed up, chin dimpled
    au20: float = 0.0  # lip stretcher
    au25: float = 0.0  # lips part
    au26: float = 0.0  # jaw drop
    lid: float = 0.0  # droop of the upper lid, 1 = shut
    teeth: float = 1.0  # how far the upper teeth show in an open mouth
    nod: float = 0.0  # pitch of the head that comes with the expression: negative when it is bowed
    skew: float = 0.0  # left/right asymmetry of the mouth
    gaze: tuple[float, float] = (0.0, 0.0)

    @property
    def jaw_drop(self) -> float:
        """How far the chin moves down."""
        return 0.22 * self.au26 + 0.02 * self.au25


@dataclass
class Identity:
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lip: np.ndarray
    width: float  # half axes of the head
    length: float
    jaw: float  # how much the head tapers towards the chin
    eye_gap: float  # from the middle of the face to the middle of an eye
    eye_size: float  # half its width
    eye_open: float  # half its height
    eye_y: float
    eye_slant: float
    brow_height: float  # above the eye
    brow_thickness: float
    brow_arch: float
    brow_slant: float
    brow_dark: float
    nose_width: float
    nose_length: float
    nose_height: float
    mouth_y: float
    mouth_width: float  # half its width
    mouth_bow: float  # curve at rest, of either sign
    lip_full: float
    teeth: float  # how much of them a smile shows: 0 is a baby's
    cheek: float
    age: float  # depth of folds at rest
    hollow: float  # how dark the sockets of the eyes are
    hairline: float
    hair_style: str  # bald, short, long, curly, hat
    fringe: float
    parting: float
    stubble: float
    beard: float
    moustache: float
    glasses: bool

    @property
    def white(self) -> float:
        """Brightness of eyes and teeth: as a camera sees them, exposed for the skin."""
        return float(self.skin.mean() / 0.75) ** 0.5

    @property
    def nose_tip(self) -> float:
        return self.eye_y + self.nose_length


@dataclass(frozen=True)
class Scene:
    yaw: float
    pitch: float
    roll: float
    scale: float  # one face unit, as a share of the picture's side
    centre: tuple[float, float]  # of the head, as shares of the picture's width and height
    light: tuple[float, float, float]  # unit vector towards the main light
    ambient: float
    gloss: float
    background: tuple[np.ndarray, np.ndarray]  # top, bottom
    shirt: np.ndarray
    warmth: float
    exposure: float
    contrast: float
    blur: float  # standard deviation in pixels, in a picture of 96 x 96
    sharpening: int  # percent
    noise: float
    grey: bool
    seed: int  # for textures and noise


@dataclass(frozen=True)
class Face:
    identity: Identity
    expression: Expression
    scene: Scene

    @property
    def pitch(self) -> float:
        return self.scene.pitch + self.expression.nod


def sample_face(label: str, rng: np.random.Generator, pose: float) -> Face:
    """A random face of class ``label``; ``pose``, 0 to 2, is how far heads turn and tilt."""
    identity = sample_identity(rng)
    scene = sample_scene(rng, pose, identity.skin)
    return Face(identity, sample_expression(label, rng), scene)  # last: all else is the same for both labels


def sample_expression(label: str, rng: np.random.Generator) -> Expression:
    """The action units of ``label`` at a random strength, along with weak ones unrelated to the label."""
    uniform, normal, chance = rng.uniform, rng.normal, rng.random
    e = Expression(
        skew=normal(0, 0.12),
        gaze=(normal(0, 0.25), normal(0, 0.2)),
        lid=abs(normal(0, 0.12)),
        au1=abs(normal(0, 0.12)),
        au2=abs(normal(0, 0.3)),
        au4=abs(normal(0, 0.1)),
    )
    if label == "happy":
        strength = 0.25 + 0.75 * rng.beta(1.6, 1.1)
        e.au12 = strength
        e.au6 = clip(strength * uniform(0.3, 1.15))
        e.au4 *= 1 - strength
        e.au25 = 0.0 if chance() < 0.22 else clip(strength * uniform(0.4, 1.2), 0.15)
        e.teeth = uniform(0.6, 1) if chance() < 0.85 else uniform(0, 0.4)
        if chance() < 0.3:  # laughing: the jaw drops, the eyes narrow, the head goes back
            e.au25, e.au26 = uniform(0.5, 1), uniform(0.2, 0.8)
            e.lid = clip(e.lid + e.au6 * uniform(0, 0.6), high=0.95)
            e.nod = uniform(-0.1, 0.25)
        else:
            e.au26 = e.au25 * max(0.0, normal(0.1, 0.15))
        return e

    # Sadness shows in the mouth, brows and lids; each takes a random share of it.
    strength = 0.1 + 0.9 * rng.beta(1.3, 1.2)
    mouth, brows, lids = (clip(strength * (0.2 + 1.6 * share)) for share in rng.dirichlet([1.3, 1.2, 0.6]))
    e.au15 = mouth * (1.0 if chance() < 0.75 else uniform(0, 0.3))
    e.au1 = clip(brows, 0.15)
    e.au4 = clip(e.au4 + brows * uniform(0, 0.6))
    e.au2 *= 0.4
    e.lid = clip(e.lid + lids * uniform(0, 1), high=0.95)
    e.au17 = clip(strength * uniform(-0.1, 1))
    if chance() < 0.15:  # weeping: the mouth opens square, the eyes squeeze
        e.au25, e.au26, e.au20 = uniform(0.3, 1), uniform(0, 0.7), uniform(0.2, 1)
        e.au1, e.au15 = max(e.au1, 0.5), max(e.au15, 0.4)
        e.au4, e.au6, e.lid = uniform(0.3, 1), uniform(0.2, 1), uniform(0.2, 0.95)
        e.teeth, e.au17 = uniform(0, 0.9), e.au17 * 0.3
    elif chance() < 0.25:
        e.au25, e.teeth = uniform(0.05, 0.2), uniform(0, 0.4)
    if chance() < 0.4:  # the head is bowed, the eyes are cast down
        e.nod = -uniform(0, 0.4)
        e.au1 = clip(e.au1 - 1.5 * e.nod)  # seen from above, level brows would look angry
        e.gaze = (e.gaze[0], uniform(0, 1))
        e.lid = clip(e.lid + uniform(0, 0.5), high=0.95)
    return e


def sample_identity(rng: np.random.Generator) -> Identity:
    uniform, normal, chance = rng.uniform, rng.normal, rng.random
    darkness = uniform(0, len(SKIN) - 1.001)
    paler, share = int(darkness), darkness % 1
    skin = SKIN[paler] * (1 - share) + SKIN[paler + 1] * share
    style = str(rng.choice(["bald", "short", "long", "curly", "hat"], p=[0.05, 0.38, 0.36, 0.14, 0.07]))
    young = (chance() < 0.3) * uniform(0.2, 1)  # 1: a small child
    bearded = chance() < 0.25 and style != "long" and not young
    lip = skin * (uniform(0.80, 0.95), uniform(0.55, 0.75), uniform(0.58, 0.78))
    if chance() < 0.25 and not bearded:  # lipstick
        lip = (0.4 + 0.6 * skin) * (uniform(0.6, 0.8), uniform(0.15, 0.35), uniform(0.2, 0.4))
    return Identity(
        skin=colour(skin * (1 + normal(0, 0.02, 3))),
        hair=colour(HAIR[rng.integers(0, 3 if chance() < 0.55 + 0.06 * darkness else 9)] * uniform(0.8, 1.2)),
        iris=colour(IRIS[rng.integers(0, 2 if darkness > 3 else 5)] * uniform(0.8, 1.2)),
        lip=colour(lip),
        width=normal(0.64, 0.035) + 0.08 * young,
        length=normal(0.97, 0.035),
        jaw=clip(normal(0.33, 0.08) - 0.06 * young, 0.05, 0.5),
        eye_gap=normal(0.305, 0.016),
        eye_size=normal(0.158, 0.014),
        eye_open=max(0.05, normal(0.078, 0.011) + 0.012 * young),
        eye_y=normal(-0.03, 0.02) + 0.10 * young,
        eye_slant=normal(0.012, 0.02),
        brow_height=normal(0.185, 0.02),
        brow_thickness=uniform(0.025, 0.05) * (1 - 0.4 * young),
        brow_arch=normal(0.035, 0.012),
        brow_slant=normal(0, 0.02),
        brow_dark=uniform(0.65, 1) * (1 - 0.4 * young),
        nose_width=normal(0.115, 0.016),
        nose_length=normal(0.345, 0.025) - 0.07 * young,
        nose_height=normal(0.12, 0.02) * (1 - 0.4 * young),
        mouth_y=normal(0.54, 0.025),
        mouth_width=normal(0.265, 0.026) * (1 - 0.12 * young),
        mouth_bow=normal(0, 0.018),
        lip_full=clip(normal(0.068, 0.02), 0.025, 0.12),
        teeth=clip(1.5 * (1 - young)),
        cheek=uniform(0.05, 0.10) + 0.04 * young,
        age=uniform(0, 1) ** 1.5 * (1 - young),
        hollow=uniform(0.4, 0.7),
        hairline=normal(-0.60, 0.06),
        hair_style=style,
        fringe=max(0.0, normal(0.0, 0.15)),
        parting=normal(0, 0.25),
        stubble=bearded * uniform(0, 1),
        beard=bearded * (chance() < 0.4) * uniform(0.5, 0.9),
        moustache=bearded * (chance() < 0.4) * uniform(0.5, 0.9),
        glasses=chance() < 0.13,
    )


def sample_scene(rng: np.random.Generator, pose: float, skin: np.ndarray) -> Scene:
    uniform, normal, chance = rng.uniform, rng.normal, rng.random
    # The main light is mostly above and in front of the face.
    azimuth, elevation = normal(0, 0.8), uniform(-0.9, 0.2)
    light = (
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
        math.cos(azimuth) * math.cos(elevation),
    )
    backdrop = uniform(0.15, 0.85) * (1 + normal(0, 0.12) * np.array([1, 0, -1]) + normal(0, 0.04, 3))
    return Scene(
        yaw=pose * normal(0, 0.35),
        pitch=pose * normal(0.02, 0.2),
        roll=pose * normal(0, 0.35),
        scale=uniform(0.42, 0.54),
        centre=(0.5 + normal(0, 0.02), 0.46 + normal(0, 0.02)),
        light=light,
        ambient=uniform(0.25, 0.65),
        gloss=uniform(0, 0.2),
        background=(colour(backdrop), colour(backdrop * (1 + normal(0, 0.25)))),
        shirt=colour(uniform(0.1, 0.85) * (1 + normal(0, 0.2, 3))),
        warmth=normal(0.03, 0.05),
        # Photographers expose dark skin for longer.
        exposure=math.exp(normal(0.05, 0.25)) * 0.7 / skin.mean(),
        contrast=math.exp(normal(0.15, 0.15)),
        blur=uniform(0, 0.5),
        sharpening=int(rng.integers(0, 141)),
        noise=abs(normal(0, 0.008)),
        grey=chance() < 0.2,
        seed=int(rng.integers(0, 2**31)),
    )


def clip(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return float(min(max(value, low), high))


def colour(rgb: np.ndarray) -> np.ndarray:
    return np.clip(rgb, 0, 1)
