"""Names that are alike are told apart."""

from core.names import distinct


def test_only_names_that_are_alike_are_extended_and_no_extended_one_is_anothers_own():
    names = {1: "dog", 2: "cat", 3: "dog", 4: "dog (1)"}
    assert distinct(names, str) == {1: "dog (1) (1)", 2: "cat", 3: "dog (3)", 4: "dog (1) (4)"}
    assert distinct({1: "a", 2: "a"}, str, "{}-{}") == {1: "a-1", 2: "a-2"}
    assert distinct({1: "{}", 2: "{}"}, str) == {1: "{} (1)", 2: "{} (2)"}
