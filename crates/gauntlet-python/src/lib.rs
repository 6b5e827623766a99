//! Python source: parse, names, constants, calls.
