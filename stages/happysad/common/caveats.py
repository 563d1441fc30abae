"""What limits every figure of a model, in the same words wherever figures are shown."""

NO_SKILL = (
    "The model is no better than chance on its validation pictures: add pictures or, for photos of faces, start from "
    "the model that knows faces (experiments/photos)."
)
SCENES_DIVIDED = "Test pictures show scenes that training has seen: expect less on other people."


def caveats(data: dict, model: dict) -> list[str]:
    """From metrics/data.json and models/model.json; most often none."""
    divided = [SCENES_DIVIDED] if data["scenes_divided"] else []
    return divided if model["better_than_chance"] else [*divided, NO_SKILL]
