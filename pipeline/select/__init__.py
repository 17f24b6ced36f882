"""From the observations of one video to its characters, anchors and clips; from the tables alone, no video is touched."""

from pipeline.select.anchors import GlobalOptions
from pipeline.select.clips import ClipOptions
from pipeline.select.quality import QualityOptions
from pipeline.select.ranking import RankingOptions
from pipeline.select.video import Selection, SelectOptions, select_video

__all__ = ["ClipOptions", "GlobalOptions", "QualityOptions", "RankingOptions", "SelectOptions", "Selection", "select_video"]
