#!/usr/bin/env python3
"""Makes tests/golden/wordpiece.json and wordpiece_vocab.txt: texts and the ids that Hugging Face
tokenizers gives them, which data/wordpiece.c has to give too.

    pip install tokenizers
    scripts/golden_wordpiece.py vocab.txt   # of any uncased BERT, e.g. all-MiniLM-L6-v2's

The stored vocabulary is a part of the given one: all single characters, what the texts need, and
every seventh other token, so that longest match has something to choose from.
"""
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"

PROMPTS = """a slow waltz in D minor for piano and cello
A cheerful jig in D major for flute and guitar, 120 bpm!
energetic drum'n'bass, 174 BPM, dark mood
Dvořák-style Slavonic dance; strings & woodwinds
für Elise, but as a bossa nova (très lente)
Ólafur Arnalds meets Erik Satie
Étude in C♯ minor, Op. 10 No. 4
piece in B♭ major, 6/8, allegro ma non troppo
8-bit chiptune @ 150bpm ~ happy/upbeat
lo-fi hip-hop beat, jazzy chords: ii–V–I
"ballad" with 'quotes' and “curly ones”
tempo=96; key=[F# minor]; metre={3/4}
don't stop; it's rock'n'roll, y'all
Mr. Bojangles' 12-bar blues in E7
ein trauriges Lied für Klarinette und Violoncello
Канон ре мажор для струнных
Прелюдия и фуга, ёлка, Йод
日本の童謡、ゆっくり
東京タワー jazz 中文混排test
한국 전통 음악, 아리랑
موسيقى شرقية حزينة بالعود
נעימה שמחה
Μουσική για κιθάρα, ΣΟΦΟΣ σοφός
हिन्दी शास्त्रीय संगीत
ดนตรีไทยช้า
tiếng Việt nhạc buồn chậm
İstanbul'da ılık bir akşam, IĞDIR
naïve façade coöperate Ångström smørrebrød Straße
ﬁne ﬂute ligatures, Ⅳ roman, ½ time, x² + y³
🎹🎻 emoji prompt 😀👍🏽 family 👨‍👩‍👧
replacement \ufffd character, private \ue000, bom \ufeff
combining e\u0301 a\u0308\u0323 q\u0307\u0323 o\u0328\u0304
hangul jamo \u1112\u1161\u11ab and compat ㅎㅏㄴ
fullwidth ＡＢＣ １２３ ！？ halfwidth ｶﾞｷﾞ
𝒜𝓫𝕔 mathematical 𝟏𝟐 deseret 𐐀𐐨
dollar $5 plus + less < equal = caret ^ grave ` pipe | tilde ~
§ ¶ • … – — ‹ › « » ¿ ¡ · ‽
currency € £ ¥ ₿ and signs © ® ™ ° µ ±
arrows → ← ⇒ math ∑ ∞ ≠ music ♩ ♪ ♫ ♭ ♮ ♯ 𝄞
㐀 extension a, 𠀀 extension b, 豈 compat, 𫝀 d, 𫠠 e, 丽 supplement
mixed中english字words
々〆〇 iteration ー prolonged 、。「」
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis
Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz
unaffable rehearsing untuned counterpointing hemidemisemiquaver
###hash ##ing # ## a##b
ALL CAPS SHOUTING PROMPT WITH ACCENTS ÀÉÎÕÜ ÑÇ
ǅ ǈ titlecase ŉ ǰ ΐ ẞ ß ﬀ ſ long s
K (kelvin) Å (angstrom) Ω (ohm)
ʻokina ʼ modifier ˈstress ː length
٣ arabic-indic १२ devanagari digits ௧
don’t – won’t – can’t
e-mail@example.com http://example.com/a?b=c#d
C:\\path\\file.mid ../up/../down
1,234.56 1.000.000 3/4 12/8 -5 +7 50%
"""

EDGES = ["", " ", "\n", ".", "a", "é", "中", "\u0301", "\u0301a", "\x00", "a\x00b", "[", "]", "##",
         "x" * 100, "x" * 101, "é" * 100, "a" * 99 + "é", "中" * 150, "ab " * 300, "!" * 40,
         "\u1e9b\u0323", "\u0344", "\u0958", "\u2126", "\u212b", "\ufb1d", "\U0001d15e"]

RANGES = [(0x20, 0x7e), (0xa0, 0x24f), (0x250, 0x36f), (0x370, 0x3ff), (0x400, 0x52f),
          (0x590, 0x5f4), (0x600, 0x6ff), (0x900, 0xdff), (0xe00, 0xe5b), (0x1e00, 0x1fff),
          (0x2000, 0x206f), (0x20a0, 0x214f), (0x2190, 0x22ff), (0x2460, 0x27bf), (0x3000, 0x30ff),
          (0x3130, 0x318e), (0x4e00, 0x4fff), (0xac00, 0xad00), (0xf900, 0xfad9), (0xfe30, 0xffee),
          (0x1f300, 0x1f64f), (0x20000, 0x20100)]


def texts():
    draw = random.Random(20)
    yield from PROMPTS.splitlines()
    yield from ("tabs\tand\nnewlines\r\nand  several   blanks",
                "no\u00a0break\u2009thin\u3000ideographic\u2028line\u2029paragraph\u200bzero",
                "control \x01\x02 bell\x07 delete\x7f nel\x85 end")
    yield from EDGES
    for number in range(120):
        low, high = RANGES[number % len(RANGES)]
        words = []
        for _ in range(draw.randint(1, 8)):
            size = draw.randint(1, 7)
            words.append("".join(chr(draw.randint(low, high)) for _ in range(size)))
        yield " ".join(words)


def make(vocab):
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]),
                                                         ("[CLS]", vocab["[CLS]"]))
    return tokenizer


def main():
    lines = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
    lines = [line for line in lines if line]
    whole = make({token: number for number, token in enumerate(lines)})
    cases = list(dict.fromkeys(texts()))
    needed = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    for text in cases:
        needed.update(whole.encode(text).tokens)
    kept = [token for number, token in enumerate(lines)
            if token in needed or len(token.removeprefix("##")) == 1 or number % 7 == 3]
    part = make({token: number for number, token in enumerate(kept)})
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "wordpiece_vocab.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
    rows = ",\n".join(json.dumps({"text": text.replace("\0", ""), "ids": part.encode(text).ids})
                      for text in cases)
    (FOLDER / "wordpiece.json").write_text(
        f'{{"made_by": "scripts/golden_wordpiece.py, tokenizers {tokenizers.__version__}",\n'
        f'"cases": [\n{rows}\n]}}\n')
    print(f"{len(cases)} texts, {len(kept)} tokens")
    if len(sys.argv) > 2:  # the ids of the whole vocabulary too, for a check by hand
        rows = [{"text": t.replace("\0", ""), "ids": whole.encode(t).ids} for t in cases]
        pathlib.Path(sys.argv[2]).write_text(json.dumps({"cases": rows}))


main()
