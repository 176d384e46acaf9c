"""Where pixels come from: CIFAR-10 in every layout people have, folders of pictures, built-in
photos; and the split.
"""

from caelab.data.contact_sheet import contact_sheet
from caelab.data.image_set import ImageSet, Source
from caelab.data.load import load_images
from caelab.data.split import Split, limit_training, limit_validation, split_images
from caelab.data.summary import ChannelStatistics, Summary, channel_statistics, summarize

__all__ = [
    "ChannelStatistics",
    "ImageSet",
    "Source",
    "Split",
    "Summary",
    "channel_statistics",
    "contact_sheet",
    "limit_training",
    "limit_validation",
    "load_images",
    "split_images",
    "summarize",
]
