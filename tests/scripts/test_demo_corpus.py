"""Tests of the demo corpus scripts: python3 tests/scripts/test_demo_corpus.py. Standard library only;
what needs mma or abc2midi is skipped, and says so, where they are missing."""

import os
import random
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "corpus"))

import abc_tunes  # noqa: E402
import ensemble  # noqa: E402
import melody  # noqa: E402
import mma_songs  # noqa: E402
import more_scores  # noqa: E402
import smf  # noqa: E402
import theory  # noqa: E402

SONGS = 20
STYLES = ("waltz", "arpeggio68", "68march", "jazz-54", "bossanova", "ballad128", "march", "folkrock")


class Files(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        notes = [(0, 480, 40, 60, 80), (480, 240, 40, 60, 81), (480, 960, 0, 48, 70),
                 (0, 60, smf.DRUMS, 36, 100)]
        data = smf.write(notes, [(0, 6, 8)], [(0, 174)], (-3, True), "Title")
        division, found, _, metas = smf.read(data)
        self.assertEqual(division, smf.PPQ)
        self.assertEqual(sorted(n[:5] for n in found), sorted(notes))
        self.assertIn((0, 0x58, bytes([6, 3, 36, 8])), metas)
        self.assertIn((0, 0x59, b"\xfd\x01"), metas)

    def test_a_repeated_pitch_ends_before_it_sounds_again(self):
        self.assertEqual(smf.tidy([(0, 500, 0, 60, 80), (240, 240, 0, 60, 80)]),
                         [(0, 240, 0, 60, 80), (240, 240, 0, 60, 80)])

    def test_only_program_bytes_are_patched(self):
        data = smf.write([(0, 480, 68, 60, 80), (0, 480, 0, 48, 80)], [(0, 4, 4)], [(0, 90)])
        patched = more_scores.patch(data, (68,), 40)
        self.assertEqual(sum(a != b for a, b in zip(data, patched)), 1)
        self.assertEqual(more_scores.programs_of(patched)[1], {0, 40})


class Words(unittest.TestCase):
    def test_roman_numerals(self):
        self.assertEqual(theory.parse_roman("bVII", 2), (0, ""))
        self.assertEqual(theory.parse_roman("iih", 9), (11, "m7b5"))
        self.assertEqual(theory.parse_roman("#Idim7", 0), (1, "dim7"))

    def test_every_chart_ends_on_the_tonic(self):
        for seed in range(200):
            rng = random.Random(seed)
            family, words = rng.choice(sorted(theory.UNITS))
            bars = rng.choice(sorted(theory.FORMS))
            mode = {"modal": "dorian"}.get(family, words) if words == "minor" else "major"
            form, section, chart = theory.chart(rng, seed % 12, mode, family, bars)
            self.assertEqual((len(chart), len(form) * section), (bars, bars))
            self.assertEqual(chart[-1][0][0], seed % 12)

    def test_composers_of_two_collections_meet(self):
        self.assertEqual(more_scores.composer_of("BachJS"), "J. S. Bach")
        self.assertEqual(more_scores.group_of(more_scores.composer_of("SchubertF")),
                         more_scores.group_of("Franz Schubert"))
        self.assertEqual(more_scores.group_of(more_scores.composer_of("BeethovenLv")),
                         more_scores.group_of("Ludwig van Beethoven"))

    def test_keys_of_tunes(self):
        self.assertEqual(abc_tunes.key_of("E Minor"), (4, "minor"))
        self.assertEqual(abc_tunes.key_of("ADor"), (9, "dorian"))
        self.assertEqual(abc_tunes.key_of("Bb"), (10, "major"))


class Melodies(unittest.TestCase):
    def test_in_range_in_bar_and_ended(self):
        for seed in range(100):
            rng = random.Random(seed)
            beats = rng.choice(list(ensemble.BEATS.values()))
            form, section, chart = theory.chart(rng, 2, "major", "folk", 16)
            scale = {(2 + s) % 12 for s in theory.SCALES["major"]}
            bars = melody.compose(rng, beats, seed % 3, scale, 62, 81, 2, form, section, chart)
            self.assertEqual(len(bars), 16)
            for bar, chords in zip(bars, chart):
                now = 0
                allowed = scale.union(*(theory.chord_tones(c) for c in chords))
                for onset, length, pitch in bar:
                    self.assertGreaterEqual(onset, now)
                    self.assertGreater(length, 0)
                    now = onset + length
                    self.assertTrue(62 <= pitch <= 81)
                    self.assertIn(pitch % 12, allowed)
                self.assertLessEqual(now, sum(beats))
            self.assertEqual(bars[-1][-1][2] % 12, 2)


@unittest.skipUnless(shutil.which("abc2midi"), "abc2midi is not installed (apt install abcmidi)")
class Tunes(unittest.TestCase):
    def test_a_pickup_comes_before_the_second_bar(self):
        tune = "X:1\nT:Test, The\nM:6/8\nL:1/8\nR:jig\nK:D\nA|" + "d2f fed|B2A ABd|" * 4
        data, row = abc_tunes.tune_file(random.Random(1), "oneills1850", tune)
        _, notes, _, _ = smf.read(data)
        self.assertEqual(min(n[0] for n in notes), 1440 - 240)
        self.assertEqual(row[2], "The Test")
        self.assertEqual(row[9:11], ["6/8", "D major"])
        self.assertTrue(150 <= float(row[8]) <= 190)


@unittest.skipUnless(shutil.which("mma"), "mma is not installed (apt install mma)")
class Songs(unittest.TestCase):
    def test_the_same_seed_gives_the_same_bytes_and_labels_are_true(self):
        found = []
        for stem in STYLES:
            found += mma_songs.grooves_of("%sstdlib/%s.mma" % (mma_songs.LIBRARY, stem))
        pool = mma_songs.pools(found)
        self.assertEqual(set(pool), set(mma_songs.SHARES))
        made = 0
        for index in range(SONGS):
            one, two = mma_songs.make(5, index, pool), mma_songs.make(5, index, pool)
            self.assertEqual(one, two)
            if one is None:
                continue
            made += 1
            division, notes, _, metas = smf.read(one[1])
            row = one[2]
            top, bottom = map(int, row[10].split("/"))
            bar = 4 * division * top // bottom
            self.assertEqual([m[2][0] for m in metas if m[1] == 0x58], [top])
            self.assertEqual(sorted({n[2] for n in notes}), sorted(map(int, row[12].split(","))))
            bars = -(-max(n[0] + n[1] for n in notes) // bar)
            self.assertTrue(8 <= bars <= 36)
            self.assertTrue(4 <= len(notes) / bars <= 64)
            sounding = {n[0] // bar for n in notes}
            self.assertEqual(len(sounding), bars)
        self.assertGreater(made, SONGS // 2)


class Tap(unittest.TextTestResult):
    """One TAP line for each test, as scripts/run_tests.sh counts them."""

    def stopTest(self, test):
        super().stopTest(test)
        reason = next((why for one, why in self.skipped if one is test), None)
        bad = any(one is test for one, _ in self.failures + self.errors)
        print(f"{'not ok' if bad else 'ok'} {self.testsRun} - {test.id()}" + (f" # SKIP {reason}" if reason else ""))


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stderr, resultclass=Tap))
