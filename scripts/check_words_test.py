"""Tests of check_words.py: each rule finds its word, and an exception needs a reason."""

import unittest

import check_words


def found(text):
    return [line.split('"')[1] for line in check_words.findings("a.rs", text, check_words.compile_rules())]


class CheckWords(unittest.TestCase):
    def test_words_are_found_in_prose_and_in_names(self):
        self.assertEqual(found("/// Nobody is told."), ["told", "nobody"])
        self.assertEqual(found("fn who_is_told_to_stop() {}"), ["told"])
        self.assertEqual(found("an untold number; `x.is_none()`"), [])

    def test_every_word_and_name_is_found(self):
        for word in [*check_words.WORDS, *check_words.NAMES]:
            self.assertIn(word, found(f"a {word}" + ("X" if word.endswith("_") else "")))

    def test_ordinary_words_are_found_where_they_are_defined(self):
        for kind, names in check_words.DEFINITIONS.items():
            for name in names:
                self.assertEqual(found(f"pub {kind} {name}<T>(x)"), [name])
                self.assertEqual(found(f"let {name} = 1;"), [])

    def test_exceptions_name_the_word_and_a_reason(self):
        self.assertEqual(found('told // words: "told" quotes the agent'), [])
        self.assertEqual(found('// words: "told" quotes the agent\ntold'), [])
        self.assertEqual(found('// words: "told"\ntold'), ["told", "told"])
        self.assertEqual(found('// words: "nobody" quotes the agent\ntold'), ["told"])

    def test_a_part_is_left_out_with_a_reason_and_an_end(self):
        self.assertEqual(found("words: off, bad examples\ntold\nwords: on\nnobody"), ["nobody"])
        unended = check_words.findings("a.rs", "words: off, bad examples\ntold", check_words.compile_rules())
        self.assertEqual(list(unended), ["a.rs: `words: off` without `words: on`"])
        self.assertEqual(found("words: off\ntold"), ["told"])


if __name__ == "__main__":
    unittest.main()
