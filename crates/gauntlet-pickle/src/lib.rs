//! What a pickle stream means, without running it.
