"""The vocabulary: frozen values that every part of Torii shares. It imports nothing but the standard library and does no I/O."""
