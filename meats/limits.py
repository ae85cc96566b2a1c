"""How much one visitor may ask for."""

MAX_MEATS = 20
MAX_MEAT_LENGTH = 50
MAX_FLAVOR_LENGTH = 100
MAX_NAME_LENGTH = 100
