"""The model: image encoder, connector and decoder, as pure functions of a parameter dictionary."""
