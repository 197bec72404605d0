"""Cases of aggregates: whole sets of answers, and captions."""

import random

OBJECTS = """man woman dog cat giraffe bus train skateboard pizza horse t-shirt "STOP" sign
    motorcycle laptop surfboard vase umbrella kite zebra fire-hydrant""".split()  # noqa: SIM905
PLACES = """street|beach|kitchen|field of grass|table|train station|snowy hill|city square|U.S. park
St. John's church|1950's diner|no. 5 platform|living-room""".replace("\n", "|").split("|")
DOING = """standing|sitting|riding a wave|eating|looking at the camera|talking on a cell phone
playing frisbee|lying down|waiting|can't be seen|isn't moving|doesn't look up""".replace("\n", "|")
HOW = """black-and-white|red|large|man's|small, brown|3|two|a couple's|old (rusty)|1,000|half-eaten|
blue and white|10:30""".replace("\n", "").split("|")
FORMS = """A {how} {it} {doing} in the {place}.|a {it} {doing} near a {how} {other}
The {it}'s {other} is on the {place}; it is {how}!|Two {it}s and a {other}... {doing} at the {place}
There is a {it} - a {how} one - in this picture|"{it}" reads the sign, {doing}: {place}?
A photo of: {it}, {other} & {it}|some {it}s’ {other} {doing} (on the {place})
It's a {it}. It doesn't have a {other}, they're {how}|{it}/{other} on the {place}
A {how} {it} at 5 p.m. in the {place}|Mr. {it} cannot see w/o the {other}""".replace("\n", "|")
ODD = """A man who is 5'10" tall|He wears jersey no.|call (555) 555-1234|a smile :)|file_name_here
x = y + 2|room a.|[a] {b} *c*|a & b|&amp; so on|1/2 of 24/7|don't. can't, won't!|the '90s|y'all
rock 'n' roll|mm1.5 and 2.5x|$5.00 or 50% off|wait?! what!!|hmm.... ok..|…and – so — on|“so” ‘it’
www.example.com|me@example.com|U.S.A. and U.S. and USA.|a tree.A zebra|naïve café|12/25/2010
5'2 tall|#1 #dog @dog|10am 10:30am|I'd've couldn't've|black/white his/hers|Wanna cannot gonna
a no parking sign, no. 7|AT&T|J. Smith et al.|:-( <3|2010-12-25""".replace("\n", "|").split("|")


def caption(rng: random.Random) -> str:
    it, other = rng.sample(OBJECTS, 2)
    doing = rng.choice(DOING.split("|"))
    fill = {"it": it, "other": other, "how": rng.choice(HOW), "doing": doing}
    return rng.choice(FORMS.split("|")).format(place=rng.choice(PLACES), **fill)


def ptb_tokens(rng):
    return [*([text] for text in ODD), *([caption(rng)] for _ in range(400))]


def cider(rng):
    """Small corpora: one caption a picture, which may repeat a reference or be empty."""
    cases = []
    for pictures in [1, 2, *(rng.randint(2, 5) for _ in range(198))]:
        references = [[caption(rng) for _ in range(rng.randint(1, 4))] for _ in range(pictures)]
        captions = [
            rng.choice([caption(rng), rng.choice(group), rng.choice(group), " ".join(group), ""])
            for group in references
        ]
        cases.append([captions, references])
    return cases


def cider_of_words(rng):
    words = "a the dog cat on in red mat sits runs".split()  # noqa: SIM905
    cases = []
    for pictures in [1, 1, 2, *(rng.randint(2, 5) for _ in range(197))]:

        def text(least=1):
            return " ".join(rng.choices(words, k=rng.randint(least, 12)))

        references = [[text() for _ in range(rng.randint(1, 4))] for _ in range(pictures)]
        cases.append([[text(0) for _ in range(pictures)], references])
    return cases


def pope_f1(rng):
    cases = [[[["no", "yes"], ["no", "no"]]], [[["yes", "no"]]]]
    for number in range(200):
        answers = (
            ["yes", "no", "Yes", "No"] if number % 2 else ["yes", "no", "No.", "Yes, it is", "x"]
        )
        rows = [[rng.choice(answers), rng.choice(["yes", "no"])] for _ in range(rng.randint(1, 12))]
        cases.append([rows])
    return cases


SUBTASKS = "existence count OCR posters code_reasoning text_translation".split()  # noqa: SIM905


def mme(rng):
    """Pictures of two questions each; answers are read alike by both, which is another case."""
    cases = []
    for _ in range(200):
        rows = []
        for subtask in rng.sample(SUBTASKS, rng.randint(1, 3)):
            for picture in range(rng.randint(1, 2)):
                for truth in ("Yes", "No"):
                    answer = rng.choice([truth, truth, "Yes", "no", "No, it is not", "maybe"])
                    rows.append([f"{picture}", subtask, answer, truth])
        cases.append([rows])
    return cases


SUBJECTS = "Art Art_Theory Finance Math Physics Pharmacy History Materials Energy_and_Power".split()  # noqa: SIM905


def mmmu(rng):
    return [
        [[[rng.choice(SUBJECTS), rng.randint(0, 1)] for _ in range(rng.randint(1, 12))]]
        for _ in range(200)
    ]


KINDS = """Regular Text Recognition|Handwriting Recognition|Digit String Recognition
Scene Text-centric VQA|Doc-oriented VQA|Key Information Extraction
Handwritten Mathematical Expression Recognition""".replace("\n", "|").split("|")


def ocrbench_total(rng):
    return [
        [[[rng.choice(KINDS), rng.randint(0, 1)] for _ in range(rng.randint(1, 9))]]
        for _ in range(200)
    ]


def make_corpora(seed: int) -> dict[str, list]:
    makers = (ptb_tokens, cider, cider_of_words, pope_f1, mme, mmmu, ocrbench_total)
    return {make.__name__: make(random.Random(f"{make.__name__} {seed}")) for make in makers}
