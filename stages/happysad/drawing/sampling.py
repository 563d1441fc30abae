"""Sample who is in a drawn picture, with what expression, and how they are photographed.

Only ``Expression`` depends on the label; ``Identity`` and ``Scene`` come from one distribution for both
classes, so that nothing else distinguishes them. A face is described by action units (AU) of the Facial
Action Coding System (Ekman and Friesen 1978): AU6 and AU12 make a happy one, AU1, AU4 and AU15 a sad one
(their EMFACS table). The rest of an expression is how the head is held and where the hands are: in
photographs, sadness is often a bowed head or a covered face.

Lengths are in face units (about half the height of a head), angles in radians, colours sRGB from 0 to 1.
x points right, y down and z towards the camera. The numbers below were set by eye, and changed where a
CNN trained on the drawings was wrong on real faces.
"""

import math
from dataclasses import dataclass

import numpy as np

# From pale to dark; a person's skin is a blend of two neighbours.
SKIN = np.array([
    [255, 224, 200], [241, 199, 164], [224, 172, 128], [198, 140, 96],
    [157, 104, 68], [120, 76, 50], [86, 54, 38], [60, 38, 28],
]) / 255  # fmt: skip
# Black and browns (the first three, the most common), blonds, red, greys.
HAIR = np.array([
    [16, 13, 12], [38, 26, 20], [74, 46, 30], [118, 78, 46], [176, 134, 84],
    [214, 184, 132], [150, 62, 34], [150, 148, 146], [216, 214, 210],
]) / 255  # fmt: skip
# Browns (the first two), green, blue, grey.
IRIS = np.array([[52, 32, 20], [84, 54, 30], [90, 110, 70], [86, 124, 152], [112, 128, 136]]) / 255


@dataclass
class Expression:
    """Action units, each from 0 (absent) to 1 (as strong as a face can show it), and what goes with them."""

    au1: float = 0.0  # inner brow raiser
    au2: float = 0.0  # outer brow raiser
    au4: float = 0.0  # brow lowerer: lower, closer, furrowed
    au6: float = 0.0  # cheek raiser: cheeks and lower lids up, crow's feet
    au12: float = 0.0  # lip corner puller
    au15: float = 0.0  # lip corner depressor
    au17: float = 0.0  # chin raiser: lower lip pushed up, chin dimpled
    au20: float = 0.0  # lip stretcher
    au25: float = 0.0  # lips part
    au26: float = 0.0  # jaw drop
    lid: float = 0.0  # droop of the upper lid, 1 = shut
    teeth: float = 1.0  # how far the upper teeth show in an open mouth
    lower_teeth: float = 0.0
    nod: float = 0.0  # pitch of the head that comes with the expression: negative when it is bowed
    hand: float = 0.0  # how far a hand reaches over the face; 0: none
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
    cheek: float
    age: float  # depth of folds and lines at rest
    hairline: float
    hair_style: str  # bald, short, long, curly, hat
    fringe: float
    parting: float
    hollow: float  # how dark the sockets of the eyes are
    stubble: float = 0.0
    beard: float = 0.0
    moustache: float = 0.0
    glasses: str = "none"  # none, clear, dark
    freckles: float = 0.0

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
    aspect: float
    light: tuple[float, float, float]  # unit vector towards the main light
    fill: tuple[float, float, float]  # unit vector towards the fill light
    fill_power: float
    ambient: float
    warmth: float
    gloss: float
    background: tuple[np.ndarray, np.ndarray]  # top, bottom
    clutter: float
    shirt: np.ndarray
    exposure: float
    contrast: float
    blur: float  # standard deviation in pixels, in a picture of 128 x 128
    low_res: float  # below 1: taken at a lower resolution and enlarged
    noise: float
    jpeg: int  # quality; 95 and above: not compressed
    grey: bool
    equalized: bool  # grey, all levels equally common: as harsh as an old print
    seed: int  # for textures, clutter and noise


@dataclass(frozen=True)
class Face:
    identity: Identity
    expression: Expression
    scene: Scene

    @property
    def pitch(self) -> float:
        return self.scene.pitch + self.expression.nod


def sample_face(
    label: str,
    rng: np.random.Generator,
    *,
    min_expression: float,
    roughness: float,
    tightness: float,
    pose: float,
) -> Face:
    """A random face of class ``label``. The keywords are settings of ``generate`` in params.yaml."""
    identity = sample_identity(rng)
    expression = sample_expression(label, rng, min_expression)
    return Face(identity, expression, sample_scene(rng, roughness, tightness, pose))


def sample_expression(label: str, rng: np.random.Generator, min_expression: float) -> Expression:
    """The action units of ``label`` at a random strength, along with weak ones unrelated to the label."""
    uniform, normal, chance = rng.uniform, rng.normal, rng.random
    if label == "happy":
        strength = min_expression + (1 - min_expression) * rng.beta(1.6, 1.1)
    else:
        strength = 0.3 * min_expression + (1 - 0.3 * min_expression) * rng.beta(1.3, 1.2)
    e = Expression(
        skew=normal(0, 0.18),
        gaze=(normal(0, 0.25), normal(0, 0.2)),
        lid=abs(normal(0, 0.15)),
        au1=abs(normal(0, 0.15)),
        au2=abs(normal(0, 0.35)),
        au4=abs(normal(0, 0.2)),
    )

    if label == "happy":
        e.au12 = strength
        e.au6 = clip(strength * uniform(0.3, 1.15))
        e.au25 = 0.0 if chance() < 0.22 else clip(strength * uniform(0.4, 1.2), 0.15)
        e.teeth = uniform(0.5, 1)
        if chance() < 0.3:  # laughing: the jaw drops, the eyes close, the head goes back
            e.au25, e.au26, e.teeth = uniform(0.5, 1), uniform(0.3, 1), uniform(0, 1)
            e.lid = clip(e.lid + e.au6 * uniform(0, 0.6), high=0.95)
            e.lower_teeth = uniform(0, 1) * (chance() < 0.5)
            e.nod = uniform(-0.1, 0.3)
        else:
            e.au26 = e.au25 * max(0.0, normal(0.1, 0.2))
        e.hand = uniform(0, 0.35) * (chance() < 0.4)  # as often as a sad one, but beside the face
        return e

    # Sadness shows in the mouth, brows and lids; each takes a random share of it.
    mouth, brows, lids = (clip(strength * (0.2 + 1.6 * share)) for share in rng.dirichlet([1.3, 1.0, 0.6]))
    e.au15 = mouth * (1.0 if chance() < 0.8 else uniform(0, 0.3))
    e.au1 = brows
    e.au4 = clip(e.au4 + e.au1 * uniform(0, 0.9) + (chance() < 0.25) * uniform(0.2, 0.8))
    e.au2 *= 0.4
    e.lid = clip(e.lid + lids * uniform(0, 1), high=0.95)
    e.au17 = clip(strength * uniform(-0.1, 1))
    if chance() < 0.4:  # weeping: the mouth opens square, the eyes squeeze
        e.au25, e.au26, e.au20 = uniform(0.3, 1), uniform(0, 0.8), uniform(0.2, 1)
        e.au4, e.au6, e.lid = uniform(0.3, 1), uniform(0.2, 1), uniform(0.2, 0.95)
        e.teeth, e.lower_teeth, e.au17 = uniform(0, 0.8), uniform(0, 1), e.au17 * 0.3
    elif chance() < 0.35:
        e.au25, e.teeth = uniform(0.05, 0.2), uniform(0, 0.4)
    if chance() < 0.4:  # the head is bowed, the eyes are cast down
        e.nod = -uniform(0, 0.6)
        e.gaze = (e.gaze[0], uniform(0, 1))
        e.lid = clip(e.lid + uniform(0, 0.5), high=0.95)
    e.hand = uniform(0.1, 0.85) * (chance() < 0.4)
    return e


def sample_identity(rng: np.random.Generator) -> Identity:
    uniform, normal, chance = rng.uniform, rng.normal, rng.random
    darkness = uniform(0, len(SKIN) - 1.001)
    paler, share = int(darkness), darkness % 1
    skin = SKIN[paler] * (1 - share) + SKIN[paler + 1] * share
    complexion = skin * (1 + normal(0, 0.03, 3))
    hair = HAIR[rng.integers(0, 3 if chance() < 0.35 + 0.09 * darkness else 9)] * uniform(0.8, 1.2)
    iris = IRIS[rng.integers(0, 2 if darkness > 3 else 5)] * uniform(0.8, 1.2)
    lip = skin * (uniform(0.80, 1.05), uniform(0.50, 0.80), uniform(0.52, 0.82))
    if chance() >= 0.75:  # lipstick
        lip = (0.4 + 0.6 * skin) * (uniform(0.5, 0.8), uniform(0.05, 0.3), uniform(0.1, 0.35))
    i = Identity(
        skin=colour(complexion),
        hair=colour(hair),
        iris=colour(iris),
        lip=colour(lip),
        width=normal(0.64, 0.05),
        length=normal(1.05, 0.05),
        jaw=clip(normal(0.22, 0.09), 0, 0.45),
        eye_gap=normal(0.305, 0.018),
        eye_size=normal(0.162, 0.017),
        eye_open=max(0.045, normal(0.076, 0.013)),
        eye_y=normal(-0.03, 0.025),
        eye_slant=normal(0.01, 0.025),
        brow_height=normal(0.155, 0.022),
        brow_thickness=uniform(0.018, 0.046),
        brow_arch=normal(0.03, 0.018),
        brow_slant=normal(0, 0.03),
        brow_dark=uniform(0.5, 1),
        nose_width=normal(0.122, 0.020),
        nose_length=normal(0.38, 0.03),
        nose_height=normal(0.21, 0.035),
        mouth_y=normal(0.60, 0.025),
        mouth_width=normal(0.285, 0.026),
        mouth_bow=normal(0, 0.016),
        lip_full=clip(normal(0.072, 0.020), 0.025, 0.13),
        cheek=uniform(0.02, 0.08),
        age=uniform(0, 1) ** 1.5,
        hairline=normal(-0.60, 0.07),
        hair_style=str(
            rng.choice(["bald", "short", "long", "curly", "hat"], p=[0.08, 0.37, 0.33, 0.14, 0.08])
        ),
        fringe=max(0.0, normal(0.0, 0.25)),
        parting=normal(0, 0.4),
        hollow=uniform(0.1, 0.5),
    )
    if chance() < 0.25 and i.hair_style != "long":
        i.stubble = uniform(0, 1)
        i.beard, i.moustache = ((chance(2) < 0.45) * uniform(0.5, 1, 2)).tolist()
    i.glasses = str(rng.choice(["none", "clear", "dark"], p=[0.84, 0.13, 0.03]))
    if chance() < 0.2:
        i.freckles = uniform(0, 1)
    return i


def sample_scene(rng: np.random.Generator, roughness: float, tightness: float, pose: float) -> Scene:
    uniform, normal, chance = rng.uniform, rng.normal, rng.random
    yaw, pitch, roll = pose * normal(0, 0.35), pose * normal(0.02, 0.2), pose * normal(0, 0.3)
    scale = (1 - tightness) * uniform(0.36, 0.44) + tightness * uniform(0.46, 0.62)
    centre = (0.5 + normal(0, 0.025), 0.5 - 0.09 * tightness + normal(0, 0.03))
    aspect = math.exp(normal(0, 0.05))
    # The main light is mostly above and in front of the face, the fill light on the other side.
    azimuth, elevation = normal(0, 0.7), uniform(-1.1, 0.25)
    flat = math.cos(elevation)
    light = (math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat)
    azimuth += math.pi * uniform(0.4, 0.8)
    fill = (math.sin(azimuth), uniform(-0.5, 0.5), 0.4)
    fill_power, ambient = uniform(0, 0.5), uniform(0.18, 0.65)
    warmth, gloss = normal(0, 0.08), uniform(0, 0.40)
    backdrop = colour(uniform(0.02, 0.98) + normal(0, 0.09, 3))
    return Scene(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        scale=scale,
        centre=centre,
        aspect=aspect,
        light=light,
        fill=tuple(part / math.hypot(*fill) for part in fill),
        fill_power=fill_power,
        ambient=ambient,
        warmth=warmth,
        gloss=gloss,
        background=(backdrop, colour(backdrop + normal(0, 0.22) + normal(0, 0.08, 3))),
        clutter=max(0.0, normal(0.2, 0.35)),
        shirt=colour(uniform(0.02, 0.9) + normal(0, 0.18, 3)),
        exposure=math.exp(normal(0.1, 0.3)),
        contrast=math.exp(normal(0.2, 0.35)),
        blur=roughness * abs(normal(0.4, 0.9)),
        low_res=1 - roughness * uniform(0, 0.7) * (chance() < 0.4),
        noise=roughness * abs(normal(0, 0.035)),
        jpeg=int(uniform(95 - 65 * roughness, 96)),
        grey=chance() < 0.2,
        equalized=chance() < 0.5 * roughness,
        seed=int(rng.integers(0, 2**31)),
    )


def clip(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return float(min(max(value, low), high))


def colour(rgb: np.ndarray) -> np.ndarray:
    return np.clip(rgb, 0, 1)
