"""How often spelling is right: on lists of misspellings, on annotated texts and on clean ones."""
