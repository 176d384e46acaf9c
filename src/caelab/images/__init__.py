"""Where pixels come from: CIFAR-10 in every layout people have, folders of pictures, built-in photos; and the split."""

from caelab.images.contactsheet import contact_sheet
from caelab.images.imageset import ImageSet, Source
from caelab.images.load import load_images
from caelab.images.split import Split, limit_training, limit_validation, split_images
from caelab.images.summary import ChannelStatistics, Summary, channel_statistics, summarize

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
