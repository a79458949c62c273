"""Common English misspellings, written down for these tests, and damaged words without end."""

import random
from collections.abc import Iterator, Sequence

_WORDS = """
    abcense absense acceptible accidently accomodate acheive accross acknowlege acommodate
    acqaint adress adolecent agressive alot allmost allways amature anual annoint apparant
    apparantly appearence arguement athelete awfull aquire basicly beautifull becomeing
    becouse becuase begining beleive benifit bizzare bicicle boundry brocolli buisness
    calender catagory carefull carreer cemetary changable charactor cheif choosen collegue
    comming commitee completly concious congradulate copywrite curiousity decieve definately
    definitly delibrate desparate diarrea dictionery diffrent dilema disapear disapoint
    dissapointed doesnt drunkeness embarass enviroment equiptment excede existance experiance
    explaination facinating familliar fasinating febuary fianly firey florescent foriegn
    fourty freind fullfil futher gaurd garantee glamourous goverment grammer greatful
    gratefull happend harrass heigth heros hieght humerous hygeine ignorence imediately
    immitate inconvienient independant inteligent interupt intresting irresistable jelous
    jewelery judgmant knowlege labratory lenght liason libary lightening lollypop maintainance
    manuever mathmatics medeval millenium minature miniscule mischievious misspel morgage
    neccessary neice nieghbour noticable ocasion occassion occured offen oppurtunity orignal
    parliment particulary peice percieve perfomance persue playwrite posession potatos preceed
    priviledge probly pronounciation psycology publically questionaire realy reccomend recieve
    refered relevent religous remeber repitition resturant rythm sacrilegous scedule seperate
    sentance sieze similer sincerly speach stregth succesful supercede suprise temprature
    thier threshhold tommorow tounge truely twelth tyrany underate untill unusal vaccuum
    vegtable vehical visious wierd wellcome wendesday wether wich wiegh womens writting yatch
    youre zealos
"""
COMMON = _WORDS.split()


def damaged(
    words: Sequence[str], letters: str, generator: random.Random, edits: Sequence[int]
) -> Iterator[str]:
    """Words with so many random edits, on and on.

    Args:
        words: What is damaged.
        letters: What is inserted and put in another's place.
        generator: Where chance comes from.
        edits: How many edits a word may get; each as likely as the next.
    """
    while True:
        word = generator.choice(words)
        for _ in range(generator.choice(edits)):
            word = edited(word, letters, generator)
        yield word


def edited(word: str, letters: str, generator: random.Random) -> str:
    """`word` with one random edit."""
    at = generator.randrange(len(word) + 1)
    left, right, letter = word[:at], word[at:], generator.choice(letters)
    match generator.randrange(4):
        case 0:
            return left + right[1:]
        case 1:
            return left + letter + right
        case 2:
            return left + letter + right[1:]
        case _:
            return left + right[1:2] + right[:1] + right[2:]
