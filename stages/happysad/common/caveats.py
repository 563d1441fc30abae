"""What limits every figure of a model, in the same words wherever figures are shown."""

NO_SKILL = (
    "The model is no better than chance on its validation pictures: add pictures or, for photos of faces, start from "
    "the model that knows faces (experiments/photos)."
)


def caveats(data: dict, model: dict) -> list[str]:
    """From metrics/data.json and models/model.json; most often none."""
    return data["notes"] if model["better_than_chance"] else [*data["notes"], NO_SKILL]
