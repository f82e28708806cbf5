from .training import STYLE_TAPS as STYLE_TAPS
from .training import WIDTHS as WIDTHS
from .training import Recipe as Recipe
from .training import Training as Training
from .training import find_pictures as find_pictures
from .training import held_out_errors as held_out_errors
from .training import save_student as save_student
from .training import split_pictures as split_pictures
