"""Misspellings that people make, or use to slip past filters."""

import random

_DIGITS = str.maketrans("aeios", "43105")

WORDS_PER_CHANGE = 6


def misspelled(line: str, seed: str) -> str:
    """Returns a line with about every sixth word misspelled, always the same way for a seed."""
    chance = random.Random(seed)
    words = line.split(" ")
    kind = chance.choice(("drop", "swap", "join", "digits"))
    for _ in range(1 + len(words) // WORDS_PER_CHANGE):
        place = chance.randrange(len(words))
        word = words[place]
        if kind == "join":
            words[place : place + 2] = ["".join(words[place : place + 2])]
        elif kind == "digits":
            words[place] = word.translate(_DIGITS)
        elif len(word) > 3:
            letter = chance.randrange(1, len(word) - 1)
            changed = "" if kind == "drop" else word[letter + 1] + word[letter]
            rest = word[letter + (1 if kind == "drop" else 2) :]
            words[place] = word[:letter] + changed + rest
    return " ".join(words)
