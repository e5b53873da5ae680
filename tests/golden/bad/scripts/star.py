import os


def init(path):
    pass


def run(*args, **kwargs):
    pass
