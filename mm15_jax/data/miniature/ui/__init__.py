"""Screens of phones, generated: real icons and fonts, themes, both platforms' conventions.

`icons` and `themes` say what a split may use, `widgets` draws, `screens` lays out, `questions` asks
what Ferret-UI asks.
"""
