"""Cases for the oracles: chosen by hand, and drawn from a seed around what models answer.

`make_cases(seed)` gives {oracle of worker.py: [case, ...]}; a case is a list of arguments. Short
answers are here, those of whole corpora in corpora.py.
"""

import random

from tests.evaluation.oracles.corpora import make_corpora

WORDS = """
    invoice total revenue Paris 1998 the cat on a mat red green blue ten three none don't isnt
    they're Dr. Smith's O'Clock café naïve über 12% 3.5 $1,200 1,000 0 0.0 yes no Yes. left/right
    state-of-the-art e-mail (approx.) 50% [sic] what's THE An someones yall'd've it'dve 7.25% -3
    1e3 nan inf tie; semi; a_b x=1 2+2 ok! why? @home `code` “quoted” 'single' "double"
""".split()  # noqa: SIM905
# Every word that the official processor has a rule for.
CONTRACTIONS = """
    aint arent cant couldve couldnt couldn'tve couldnt've didnt doesnt dont hadnt hadnt've
    hadn'tve hasnt havent hed hed've he'dve hes howd howll hows Id've I'dve Im Ive isnt itd
    itd've it'dve itll let's maam mightnt mightnt've mightn'tve mightve mustnt mustve neednt
    notve oclock oughtnt ow's'at 'ows'at 'ow'sat shant shed've she'dve she's shouldve shouldnt
    shouldnt've shouldn'tve somebody'd somebodyd've somebody'dve somebodyll somebodys someoned
    someoned've someone'dve someonell someones somethingd somethingd've something'dve
    somethingll thats thered thered've there'dve therere theres theyd theyd've they'dve theyll
    theyre theyve twas wasnt wed've we'dve weve werent whatll whatre whats whatve whens whered
    wheres whereve whod whod've who'dve wholl whos whove whyll whyre whys wont wouldve wouldnt
    wouldnt've wouldn'tve yall yall'll y'allll yall'd've y'alld've y'all'dve youd youd've
    you'dve youll youre youve none zero one two three four five six seven eight nine ten
""".split()  # noqa: SIM905
NAMES = """cat hot_dog bow_(decorative_ribbons) bowl chair armchair car scarf nose notebook knife
    person traffic_light teddy_bear television_set TV no_parking_sign""".split()  # noqa: SIM905


def phrase(rng: random.Random, most: int = 5) -> str:
    return rng.choice([" ", " ", "  ", "\n"]).join(rng.choices(WORDS, k=rng.randint(1, most)))


def mutate(rng: random.Random, text: str) -> str:
    """A text near another: what a model that can nearly read answers."""
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(text) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:place] + rng.choice("abcxyz019 .,'%") + text[place:]
        elif kind == 1:
            text = text[:place] + text[place + 1 :]
        elif kind == 2:
            text = text[:place] + rng.choice("etaoin") + text[place + 1 :]
        elif kind == 3:
            text = text.swapcase()
        else:
            text = f" {text}\t"
    return text


def number(rng: random.Random) -> str:
    value = rng.choice([0, 1, 7, 12, 99.5, 1999, 0.05, 1200, -4, 63.2]) * rng.choice(
        [1, 1, 10, 0.1]
    )
    form = ["{:g}", "{:.2f}", "{:,.0f}", "{:g}%", "{:.1f}%", "${:,.2f}", "{:g}.", " {:g} "]
    return rng.choice(form).format(value)


def near_number(rng: random.Random, text: str) -> str:
    try:
        value = float(text.strip().rstrip("%."))
    except ValueError:
        return mutate(rng, text)
    value *= rng.choice([1, 1.04, 1.05, 1.0499, 1.0501, 0.95, 0.9499, 1.06, 0.01, 100])
    return f"{value:.6g}" + rng.choice(["", "", "%", "."])


def anls(rng):
    # Exactly half wrong, just under, empty, length counted before spaces collapse.
    cases = [["abcd", ["abxy"]], ["abc", ["xyc"]], ["", ["a"]], ["", [""]], ["a  b", ["a b"]]]
    cases += [["straße", ["STRASSE"]], ["PARIS", ["paris", "london"]], ["a" * 40, ["a" * 60]]]
    for _ in range(200):
        references = [phrase(rng) for _ in range(rng.randint(1, 3))]
        answer = mutate(rng, rng.choice(references)) if rng.random() < 0.8 else phrase(rng)
        cases.append([answer, references])
    return cases


def relaxed(rng):
    cases = [
        ["12", "12%"], ["0.12", "12%"], ["12%", "0.12"], ["0", "0"], ["0.0", "0"], ["105", "100"],
        ["105.0001", "100"], ["-95", "-100"], ["Yes", "yes"], ["yes.", "yes"], ["1,200", "1200"],
        ["$5", "5"], ["Bananas", "B"], ["nan", "nan"], ["inf", "inf"], ["", "5"], ["'a'", "a"],
    ]  # fmt: skip
    for _ in range(200):
        truth = number(rng) if rng.random() < 0.75 else phrase(rng, 2)
        cases.append([near_number(rng, truth), truth])
    return cases


def exact_match(rng):
    cases = [["cat.", "cat"], ["Cat", "cat"], ["a  cat", "a cat"], ["'cat'", "cat"]]
    cases += [
        ["cat..", "cat"],
        ["ｃａｔ", "cat"],
        ["straße", "STRASSE"],
        ["", "cat"],
        ["12", "12."],
    ]
    for _ in range(220):
        truth = phrase(rng, 2)
        cases.append([mutate(rng, truth) if rng.random() < 0.7 else phrase(rng, 2), truth])
    # A letter is the name of an option there.
    return [case for case in cases if case[1].strip().upper() not in ("A", "B", "C", "D")]


def normalise_vqa(rng):
    texts = [*WORDS, *CONTRACTIONS, ". " * 40 + "end", "1,000 people", "a.b.c 3.5."]
    texts += ["Mr. A, the 3rd", "no, 1,5 (x)"]
    return [[text] for text in [*texts, *(phrase(rng) for _ in range(150))]]


def vqa(rng):
    cases = []
    for _ in range(200):
        truths = rng.choices([phrase(rng, 2) for _ in range(3)], k=rng.choice([10, 10, 10, 2, 5]))
        answer = rng.choice(truths)
        cases.append([mutate(rng, answer) if rng.random() < 0.6 else answer, truths])
    return cases


def box(rng, most=60):
    x, y, width, height = (rng.randrange(most) for _ in range(4))
    return [x, y, x + 1 + width, y + 1 + height]


def iou(rng):
    return [[box(rng), box(rng)] for _ in range(200)]


def point(rng):
    """A point of whole numbers and a box, often on its edge."""
    cases = []
    for _ in range(200):
        x1, y1, x2, y2 = box(rng)
        x = rng.choice([x1, x2, (x1 + x2) // 2, rng.randrange(120)])
        y = rng.choice([y1, y2, (y1 + y2) // 2, rng.randrange(120)])
        cases.append([[x, y], [x1, y1, x2, y2]])
    return cases


YES_NO = """Yes|No|yes|no|YES|Yes.|No.|no,|Yes, there is.|No, there is not.|Y|n|y.|Nope|Not at all
None|nothing|Yesterday|**Yes**|"No"| yes |No one|no-one|Noon|The answer is yes|It is|maybe|
I do not know|yes/no|Yes and no|yes!|(no)|Yeah|1|是|no\nbecause|Yes\n|Y.E.S.|n.o|Unknown|a no
""".replace("\n", "|", 1).split("|")


def yes_no_answer(rng):
    answer = rng.choice(YES_NO) if rng.random() < 0.6 else rng.choice(["yes", "No"])
    return rng.choice(["", "", " ", "\n", "- "]) + answer + rng.choice(["", "", ".", " it is"])


def pope(rng):
    cases = [[answer, truth] for answer in YES_NO for truth in ("yes", "no")]
    return [*cases, *([yes_no_answer(rng), rng.choice(["yes", "no"])] for _ in range(150))]


def mme_answer(rng):
    return [*([answer] for answer in YES_NO), *([yes_no_answer(rng)] for _ in range(180))]


OPTIONS = """cat|dark red|red|12|12.5|$6|A|B|the left one|Figure 1|none of the above|H2O|x = 2|Ca
Yes|a cat and a dog|3 A|<image 1>|East|Both I and II""".replace("\n", "|").split("|")
SAYINGS = """{0}|({0})|{0}.|{0}:|**{0}**|The answer is {0}|The answer is ({0}).|Answer: {0}
{0}) {1}|{0}. {1}|({0}) {1}|I think it is {1}|Option {0} is right, because {1}|{1}|Not {2}, but {0}
Between ({0}) and ({2}), the second|A DNA test says that it has to be {1} of course|{2} or {0}
The options are {2} and {0} , so the answer must be clear|it must be {1}, as one can see, not {3}
Looking at the picture I would say that {1} is shown here.|So: {0}'|???|I|""".replace("\n", "|")

SHORTLY = "{0}|{0}|{0}.|({0})|({0}).|{0}. {1}|{0}: {1}|{0})|The answer is {0}|Answer: {0}| {0}\n"


def lettered(rng):
    """An answer to a question with options, and these."""
    choices = rng.sample(OPTIONS, rng.randint(2, 6))
    index, other = rng.sample(range(len(choices)), 2)
    saying = rng.choice(SAYINGS.split("|"))
    letters = "ABCDEFGH"
    said = saying.format(letters[index], choices[index], letters[other], choices[other])
    said = said.lower() if rng.random() < 0.1 else said
    return said, choices, index


def multiple_choice(rng):
    """Models that were asked for a letter: most say it alone, some in a sentence or the text."""
    cases = []
    for number in range(320):
        said, choices, index = lettered(rng)
        if number % 2:
            letter = "ABCDEFGH"[index]
            said = rng.choice(SHORTLY.split("|")).format(letter, choices[index])
        cases.append([said, choices])
    return cases


def mmmu_choice(rng):
    return [list(lettered(rng)[:2]) for _ in range(300)]


def mmmu_open(rng):
    leads = (
        "the answer is {}|{}|so {}|x = {}|result: {}.|it could be {}\nfinal answer {}|{} because {}"
    )
    leads += (
        "|A is B. Therefore {}|thus .|=|is is {} m/s|y = 3x\nx = {}|about {}, I think|-{}|{} is"
    )
    values = (
        "3.5|3.50|1,200|1200|-4|1e3|1000|0.005|nan|inf|Paris|a|5|$6|x|1.06|12%|new york|2/3|.5|"
    )
    values = [*values.split("|"), "1,2345", "3.14159", "10 cm", "NaN", "1_000", "B"]
    cases = []
    for _ in range(300):
        first, second = rng.choice(values), rng.choice(values)
        said = rng.choice(leads.split("|"))
        said = said.format(*[rng.choice([first, second]) for _ in range(said.count("{}"))])
        truths = [rng.choice(values) for _ in range(rng.choice([0, 0, 1]))] + [first]
        cases.append([said.swapcase() if rng.random() < 0.1 else said, truths])
    return cases


def ocrbench(rng):
    cases = [["ＡＢＣ　１", ["abc 1"], False], ["x ^ 2", ["x^2"], True], ["X^2", ["x^2"], True]]
    cases += [["a\nb", ["a b"], False], ["a\nb", ["ab"], True], ["", ["a"], False]]
    for _ in range(250):
        truths = [phrase(rng, 2) for _ in range(rng.randint(1, 2))]
        answer = f"{phrase(rng, 2)} {rng.choice(truths)} {phrase(rng, 1)}"
        answer = mutate(rng, answer) if rng.random() < 0.5 else answer
        cases.append([answer, truths, rng.random() < 0.4])
    return cases


def mathvista_compare(rng):
    cases = [["[2007, 2008]", "[2007, 2008]", [], "list", 0], ["", "12", ["12", "1"], "text", 0]]
    cases += [["[2007,2008]", "[2007, 2008]", [], "list", 0], ["1.20", "1.20", [], "float", 2]]
    for _ in range(300):
        kind = rng.choice(["choice", "choice", "integer", "float", "list"])
        if kind == "choice":
            said, choices, index = lettered(rng)
            extraction = rng.choice([said, choices[index], "ABCDEFGH"[index], mutate(rng, said)])
            cases.append([extraction, choices[index], choices, "text", 0])
        elif kind == "list":
            truth = str([rng.randrange(2000, 2010) for _ in range(2)])
            cases.append([rng.choice([truth, mutate(rng, truth)]), truth, [], "list", 0])
        else:
            precision = rng.choice([1, 2]) if kind == "float" else 0
            value = rng.randrange(-50, 2000) / 10**precision
            truth = str(value) if kind == "float" else str(int(value))
            near = value + rng.choice([0, 0, 0.001, 0.04, 0.06, 0.4, 1, 10])
            given = rng.choice(
                [f"{near}", f"{near:.3f}", f"{near:g}", "abc", "", f"{near} m", "inf"]
            )
            cases.append([given, truth, [], kind, precision])
    return cases


def mathvista(rng):
    cases = []
    for extraction, truth, choices, kind, precision in mathvista_compare(rng):
        said = rng.choice(["{}", 'The answer is "{}".', 'So: The answer is "{}". Done.'])
        cases.append([said.format(extraction), truth, choices, kind, precision])
    return cases


ITEMS = """5|5.0|five|1,000|1000|1990-01-12|xx-01-12|1990-xx-xx|1990|January 12, 1990|Über|uber
USA (1st)|USA|USA[2]|[3]|"Red"|“Red”|red.|St. Louis|a – b|a-b|10%|10|-3|−3|3.5|3.5000001|3.6||yes
†Smith*|smith|(a)|(a) (b)|Ok (x) [y]|nan|inf|1e3|xx-xx-xx|2001-13-01|2001-12-01| spaced  out |x..
1_000|٣|³|1990-1-12|XX-01-12|0.1|.1|No.|#7|7#|'t|`t|a‑b""".replace("\n", "|").split("|")


def denotation(rng):
    cases = [[["1990-01-12"], ["January 12, 1990"], ["1990-01-12"]], [[], ["5"], ["5"]]]
    for _ in range(350):
        truths = rng.choices(ITEMS, k=rng.choice([1, 1, 1, 2, 3]))
        canons = [rng.choice([t, t, rng.choice(["5", "1990-01-12", "3.5", ""])]) for t in truths]
        items = rng.sample(truths, len(truths)) if rng.random() < 0.7 else rng.choices(ITEMS, k=2)
        items = [item.upper() if rng.random() < 0.2 else item for item in items]
        items = [rng.choice(ITEMS) if rng.random() < 0.15 else item for item in items]
        cases.append([items, truths, canons])
    return cases


def lvis_name(rng):
    sayings = """{0}|a {0}.|The object is a {0}, not a {1}.|It is not a {1}, it is a {0}|{1}
    No, it is a {0}|It's a {0} and no {1}.|this is no {0}. It is {1}|It is a {0}, not a {1}|nothing
    The {0} is in a notebook, near a {1}|my nose.""".replace("\n    ", "|").split("|")
    cases = []
    for _ in range(250):
        name, other = rng.sample(NAMES, 2)
        synonyms = [name, *rng.sample(NAMES, rng.choice([0, 0, 1]))]
        said = rng.choice(sayings).format(name.replace("_", " "), other.replace("_", " "))
        said = rng.choice([said, said, said, said.lower(), said.capitalize(), said.upper()])
        cases.append([said, name, synonyms])
    return cases


def recall(rng):
    """Boxes from 0 to 999, of which the answer has a few, seldom one without an area."""
    cases = [
        [[[0, 0, 100, 100]], [[0, 0, 100, 50]], False],
        [[[5, 5, 5, 5]], [[0, 0, 9, 9]], False],
    ]
    for _ in range(250):
        truths = [[4 * value for value in box(rng)] for _ in range(rng.randint(1, 3))]
        near = [value + rng.randrange(40) for value in rng.choice(truths)]
        around = [min(b[0] for b in truths), min(b[1] for b in truths)]
        around += [max(b[2] for b in truths), max(b[3] for b in truths)]
        first = rng.choice([near, near, around, [4 * value for value in box(rng)], [7, 7, 7, 9]])
        more = [[4 * value for value in box(rng)] for _ in range(rng.randint(0, 2))]
        cases.append([[first, *more], truths, rng.random() < 0.5])
    return cases


RULES = ("textocr", "clevr", "open_mi", "operator_induction", "operator_induction_interleaved")


def icl(rng):
    cases = []
    for _ in range(300):
        rule = rng.choice([*RULES, "matching_mi"])
        truth = rng.choice(["blicket", "Dax", "12", "7", "STOP"])
        if rule == "matching_mi":
            truth = rng.choice(["yes", "no", "Yes"])
        said = "{}|{}.|{}\nQuestion: what|{} is it|The answer is {}. Yes|.{}|It is {}"
        said = rng.choice(f"{said}|3 + 4 = {{}}|\n{{}}\n".split("|")).format(
            rng.choice([truth, truth, truth.upper(), "no", "9"])
        )
        cases.append([rule, said, truth])
    return cases


def icl_contains(rng):
    cases = [case[1:] for case in icl(rng)]
    return [case for case in cases if case[1] != "no"]


def make_cases(seed: int) -> dict[str, list]:
    makers = {
        "anls": anls, "exact_match": exact_match, "multiple_choice": multiple_choice,
        "point": point, "relaxed_pix2struct": relaxed, "relaxed_mistral": relaxed,
        "normalise_vqa": normalise_vqa, "vqa": vqa, "iou": iou, "pope": pope,
        "mme_answer": mme_answer, "mmmu_choice": mmmu_choice, "mmmu_open": mmmu_open,
        "ocrbench": ocrbench, "mathvista_compare": mathvista_compare, "mathvista": mathvista,
        "denotation": denotation, "lvis_name": lvis_name, "recall": recall, "icl": icl,
        "icl_contains": icl_contains,
    }  # fmt: skip
    cases = {name: make(random.Random(f"{name} {seed}")) for name, make in makers.items()}
    return cases | make_corpora(seed)
