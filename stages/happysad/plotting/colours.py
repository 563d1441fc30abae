"""The colours of all charts."""

BLUE, ORANGE, GREY = "#1f5fa8", "#d9730d", "#8a8a8a"
