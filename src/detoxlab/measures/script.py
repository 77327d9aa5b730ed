"""The script of a text, and its language where it can be told.

The script comes from the names of its letters in the Unicode database. The language is
guessed from the commonest words of each, which takes about five words of running text. Where
the evidence is weak or fits two languages, the answer is `UNKNOWN` rather than a guess.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

UNKNOWN = "unknown"
Writing = tuple[str, str]

# Japanese mixes kana and ideographs in every sentence, so they count as one script here;
# the language then tells Japanese from Chinese.
_EAST_ASIAN = {"HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC", "BOPOMOFO"}

SCRIPT_LANGUAGE = {
    "hangul": "ko",
    "greek": "el",
    "hebrew": "he",
    "thai": "th",
    "armenian": "hy",
    "georgian": "ka",
    "tamil": "ta",
    "telugu": "te",
    "bengali": "bn",
    "gujarati": "gu",
    "khmer": "km",
    "lao": "lo",
}

COMMON_WORDS = {
    "en": "the of and to in is that it was for on you with as be this have are not at by from "
    "or his they but which we an she were one her all their there been if more when will would "
    "who so what up said about into than them can only out could these my your me do just don't "
    "it's i'm i he has had how because like people",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch "
    "es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so "
    "zum haben nur oder aber vor zur bis mehr durch man sein wurde wenn ich wir ihr du was kein",
    "fr": "de la le et les des en un du une que est pour qui dans par sur pas au plus ne se il "
    "avec sont ce cette ou son mais nous vous elle ils aux comme être tout leur fait je était si "
    "même ces sa ont peut deux c'est qu'il n'est très où j'ai on lui mon ma",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o pero "
    "sus le ha me si sin sobre este ya entre cuando todo esta ser son dos también fue había era "
    "muy hasta desde mi qué yo porque están nos eso ella él uno hay ellos tiene",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi "
    "ao ele das tem à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso "
    "ela entre era depois sem mesmo aos ter seus quem nas me esse eles você foram são",
    "it": "di e il la che in a per un è del non della le con una i si da sono al dei nel lo come "
    "più anche alla ma gli ha su delle dal ed se o questo mi perché nella era ai essere io ci "
    "cosa tutti molto solo quando hanno loro questa chi lui lei stato",
    "nl": "de van het een en in is dat op te zijn met voor niet die aan er om ook als dan maar "
    "bij uit nog wordt door naar heeft hij ik ze wat over deze werd hebben je worden kan tot of "
    "al geen was dit meer zo wel moet onder haar zou waar we hun mijn",
    "sv": "och i att det som en på är av för med den till inte har de om ett han men var jag sig "
    "från vi så kan när år under också efter eller nu sin där vid mot ska skulle kommer ut få "
    "finns vara hade alla andra mycket än här då sedan över bara in upp man",
    "da": "og i at det er en til af på de med for der den ikke som har et han var men sig fra vi "
    "jeg kan om så eller efter også når blev ved hun ud skal være havde mod nu hvor kun over "
    "mange denne man alle meget selv siger bliver disse dem noget hvis",
    "pl": "w i na z się nie że do to jest o jak po za od przez co ale dla tak są już tym tylko "
    "jego czy może być był ze oraz było jej które który także bardzo ich go pod przed kiedy mnie "
    "jeszcze więc tego gdy aby nas bo ma my",
    "ro": "de și în a la cu pe nu că este o care din un mai pentru sunt ca se să au fost al ale "
    "lui fi sau dar după prin ce ai cel cea cele cei între fără când avea această acest sa foarte "
    "doar ea el ei noi dacă numai toate astfel",
    "tr": "ve bir bu da de için ile çok ne daha gibi olarak var olan kadar o ama sonra ki en her "
    "mi değil ben ya diye oldu olduğunu ise şey bana sen onun yok benim iki nasıl zaman biz hiç "
    "şimdi göre kendi tarafından veya büyük bunu ancak",
    "id": "yang dan di dengan untuk pada dalam dari tidak ini itu akan adalah ke oleh juga ada "
    "saya mereka dia kami kita atau sebagai telah bisa karena lebih sudah dapat tersebut orang "
    "bahwa kepada hanya seperti banyak menjadi masih saat harus sangat tetapi anda",
    "vi": "và của là có không được cho những trong một người các với đã khi này để đến từ cũng "
    "về như ra nhiều tôi ở vào phải anh lại nhưng còn rất bị họ làm chỉ thì nếu sẽ bạn sự hay "
    "mà đó hơn theo nói năm",
    "fi": "ja on ei se että oli hän mutta ovat kun niin myös kuin tai hänen sen mitä jos olla "
    "joka minä sinä me he tämä vain nyt ole siitä sitä mukaan jo vielä voi kanssa jälkeen koko "
    "kaikki ollut sekä ennen mikä jotka hyvin sitten",
    "ru": "и в не на я что он с как это по но они к у ты из мы за вы так же от меня бы его для "
    "о то все она было был мне еще если да нет или только быть который когда чтобы уже очень "
    "этого есть их при до",
    "uk": "і в не на я що він з як це по але вони у та до за ви так від мене його для про все "
    "вона було був мені ще якщо ні або тільки бути який коли щоб вже дуже цього є їх при й",
    "bg": "и в не на се да е за от с че са по как това като но ще му си ли или до може има след "
    "беше при само който които бъде тази този още във със много те той тя ние",
    "ar": "في من على إلى أن عن مع هذا هذه التي الذي كان لا ما هو هي قد بعد كل لم بين أو كما "
    "كانت ذلك غير لكن عند حتى إن أي قال يكون منذ ثم",
    "fa": "و در به از که این را با است برای آن یک خود تا کرد بر هم نیز گفت می شود شد ها بود ما "
    "باید های او اما اگر هر من شما دارد نمی",
    "hi": "के में की है से और का को पर यह हैं भी एक कि नहीं ने तो इस लिए था हो कर ही जो या वह "
    "थी मैं हम आप अपने",
}

# Letters, with the combining marks that Devanagari and decomposed accents are written in.
_LETTERS = r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0903\u093a-\u094f])+"
_WORD = re.compile(rf"{_LETTERS}(?:'{_LETTERS})*")
_ENOUGH = 2.0
_SHARE = 0.15
_LEAD = 1.5
_USUAL = 0.9


@functools.lru_cache(maxsize=64)
def main_script(text: str) -> str:
    """The script of most letters of the text, in lower case; `UNKNOWN` without letters.

    Compatibility forms (full width, mathematical letters) count as ordinary letters.

    >>> main_script("What a day, Ольга!"), main_script("何ですか"), main_script("42 :-)")
    ('latin', 'east asian', 'unknown')
    """
    if text.isascii():
        return "latin" if any(map(str.isalpha, text)) else UNKNOWN
    letters = Counter(map(_script_of, unicodedata.normalize("NFKC", text)))
    letters.pop("", None)
    return max(letters, key=lambda name: letters[name]) if letters else UNKNOWN


@functools.lru_cache(maxsize=64)
def language(text: str) -> str:
    """The language of the text as an ISO 639-1 code, or `UNKNOWN` where it cannot be told.

    It is decided by the commonest words of 21 languages. An occurrence counts more if fewer
    languages share the word; a language needs at least two points, .15 per word, and 1.5 times
    the second best. A script that mainly one language uses decides by itself.

    >>> language("It was the best of times"), language("Das ist nicht mein Haus")
    ('en', 'de')
    >>> language("Hello"), language("한국어")
    ('unknown', 'ko')
    """
    script = main_script(text)
    if script in SCRIPT_LANGUAGE:
        return SCRIPT_LANGUAGE[script]
    if script == "east asian":
        return _east_asian_language(text)
    words, weights = _WORD.findall(text.lower().replace("’", "'")), _weights()
    points: dict[str, float] = {}
    for word in words:
        for code, weight in weights.get(word, ()):
            points[code] = points.get(code, 0.0) + weight
    return _clear_winner(points, len(words))


def writings(texts: Sequence[str]) -> list[Writing]:
    """Script and language of each text of a collection.

    A text too short to tell gets the language of the others in its script, if nine in ten of
    the texts with a known language share it.

    >>> writings(["It was the best of times", "Hello", "Привет"])
    [('latin', 'en'), ('latin', 'en'), ('cyrillic', 'unknown')]
    """
    found = [(main_script(text), language(text)) for text in texts]
    usual = {}
    for script in {script for script, _ in found}:
        codes = Counter(code for one, code in found if one == script and code != UNKNOWN)
        for code, count in codes.most_common(1):
            usual[script] = code if count >= _USUAL * codes.total() else UNKNOWN
    return [
        (script, usual.get(script, UNKNOWN) if code == UNKNOWN else code) for script, code in found
    ]


def _clear_winner(points: dict[str, float], words: int) -> str:
    ranked = sorted(points.items(), key=lambda item: -item[1])
    first, second = [*ranked, (UNKNOWN, 0.0), (UNKNOWN, 0.0)][:2]
    is_clear = first[1] >= max(_ENOUGH, _SHARE * words, _LEAD * second[1])
    return first[0] if is_clear else UNKNOWN


def _east_asian_language(text: str) -> str:
    names = [unicodedata.name(letter, "").split(" ")[0] for letter in text]
    kana = sum(name in ("HIRAGANA", "KATAKANA") for name in names)
    ideographs = sum(name == "CJK" for name in names)
    return "ja" if kana * 10 >= kana + ideographs else "zh"


@functools.lru_cache(maxsize=1 << 14)
def _script_of(letter: str) -> str:
    """The script of one character; "" if it is no letter."""
    if not letter.isalpha():
        return ""
    name = unicodedata.name(letter, "").split(" ")[0]
    return "east asian" if name in _EAST_ASIAN else name.lower()


@functools.cache
def _weights() -> dict[str, tuple[tuple[str, float], ...]]:
    """For each common word, the languages that have it and its weight for each."""
    owners: dict[str, list[str]] = {}
    for code, words in COMMON_WORDS.items():
        for word in dict.fromkeys(words.split()):
            owners.setdefault(word, []).append(code)
    return {word: tuple((code, 1 / len(codes)) for code in codes) for word, codes in owners.items()}
