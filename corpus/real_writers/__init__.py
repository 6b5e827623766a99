"""Writers of real model files, one function for each framework; see ../make_real.py."""

WRITERS = {}


def writer(name, *needs):
    """Registers `function(out)`; `needs` are distributions, or programs when they start with `!`."""

    def register(function):
        WRITERS[name] = (needs, function)
        return function

    return register
