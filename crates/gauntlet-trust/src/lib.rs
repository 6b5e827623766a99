//! Keys, DSSE, in-toto statements, OpenSSF model signing, verification.
