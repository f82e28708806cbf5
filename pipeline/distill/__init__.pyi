from .check import held_out_errors as held_out_errors
from .crops import find_pictures as find_pictures
from .crops import split_pictures as split_pictures
from .files import save_student as save_student
from .recipe import STYLE_TAPS as STYLE_TAPS
from .recipe import WIDTHS as WIDTHS
from .recipe import Recipe as Recipe
from .training import Training as Training
