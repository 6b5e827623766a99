import pickle


def half(:
    pass


value = (1,


def later(fh):
    return pickle.load(fh)  # finds: unsafe-pickle
