from .best import Scored as Scored
from .best import by_pair as by_pair
from .best import pairs_manifest as pairs_manifest
from .best import score_pair as score_pair
from .board import summary_writer as summary_writer
from .board import write_board as write_board
from .page import build_report as build_report
from .sheet import make_sheet as make_sheet
