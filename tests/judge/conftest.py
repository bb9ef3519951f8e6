"""Property tests without a time limit: how fast a shared machine is says nothing about the law."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
