"""Nasty replies with their right grade, made by hand from the kinds of things that graders get wrong.

A row: the reply, the accepted answers, the grade a careful person gives. ``R`` right, ``W`` wrong, ``U`` cannot be told. Groups share a
question kind, a question and, for choices, options.
"""

from __future__ import annotations

from dataclasses import dataclass

R, W, U = "right", "wrong", "ungraded"


@dataclass(frozen=True)
class Group:
    name: str
    kind: str
    rows: tuple[tuple[str, str, str], ...]
    text: str = "How much is it?"
    options: tuple[str, ...] = ()


NUMBERS = [
    Group("signs", "numeric", (
        ("-40", "-40", R), ("**-40**", "-40", R), ("**-40**", "40", W), ('"-40"', "-40", R), ("'-40'", "-40", R), ("`-40`", "-40", R),
        ("“-40”", "-40", R), ("*-40*", "-40", R), ("_-40_", "-40", R), ("~-40", "-40", R), ("≈-40", "-40", R), ("<-40", "-40", R),
        ("≤-40", "-40", R), ("about,-40", "-40", R), ("¥-40", "-40", R), ("₹-40", "-40", R), ("-$40", "-40", R), ("-₹40", "-40", R),
        ("-US$40", "-40", R), ("−40", "-40", R), ("–40", "-40", R), ("‑40", "-40", R), ("﹣40", "-40", R), ("－40", "-40", R),
        ("⁻40", "-40", R), ("minus 40", "-40", R), ("minus forty", "-40", R), ("negative 40", "-40", R), ("It is minus five.", "-5", R),
        ("It is minus five.", "5", W), ("ten minus five", "-5", W), ("(-40)", "-40", R), ("[-40]", "-40", R), ("= -40", "-40", R),
        ("= - 40", "-40", R), ("- 40", "-40", U), ("- 40", "40", U), ("+40", "40", R), ("+40", "-40", W), ("x-40", "-40", W),
        ("-40°C", "-40", R), ("It is -40 degrees.", "-40", R), ("It is -40 degrees.", "40", W), ("10-40", "-40", W), ("(3)-40", "-40", W),
        ("10%-40%", "-40", W), ("Answer:-40", "-40", R), ("/-40", "-40", R), ("-.5", "-0.5", R), ("-1/2", "-0.5", R),
    )),
    Group("units and their exponents", "numeric", (
        ("17,098,246 km²", "17098246", R), ("17,098,246 km²", "2", W), ("17 098 246 km²", "17098246", R), ("5 m²", "5", R), ("5 m²", "2", W),
        ("5 m^2", "5", R), ("5 m^2", "2", W), ("5 m2", "5", R), ("9.8 m s-2", "9.8", R), ("9.8 m s-2", "2", W), ("9.8 m s-2", "-2", W),
        ("9.8 m s⁻²", "9.8", R), ("9.8 m/s^2", "9.8", R), ("9.8 m·s⁻²", "-2", W), ("5 cm³", "5", R), ("5 cm³", "3", W), ("5 kg m-3", "5", R),
        ("5kg", "5", R), ("300 K", "300", R), ("300K", "300", U), ("5 m", "5", R), ("5m", "5", R), ("5m", "5000000", U), ("$ m^{2}$ 7", "7", R),
        ("H2O", "2", W), ("Apollo 11", "11", R), ("Apollo-11", "11", R), ("6.02×10²³ mol⁻¹", "6.02e23", R), ("6.02×10²³ mol⁻¹", "-1", W),
        ("about 1,000 m³/s", "1000", R), ("about 1,000 m³/s", "3", W), ("5°", "5", R), ("5'", "5", R),
    )),
    Group("powers", "numeric", (
        ("1e6", "1000000", R), ("1e6", "1", W), ("1E6", "1000000", R), ("1e-3", "0.001", R), ("1.5e+3", "1500", R), ("5*10^6", "5000000", R),
        ("5*10^6", "6", W), ("5×10^6", "5000000", R), ("5×10⁶", "5000000", R), ("5 x 10^6", "5000000", R), ("5 · 10⁶", "5000000", R),
        ("5 \\times 10^{6}", "5000000", R), ("$5 \\cdot 10^6$", "5000000", R), ("10^6", "1000000", R), ("10⁶", "1000000", R),
        ("10**6", "1000000", R), ("10^-3", "0.001", R), ("10⁻³", "0.001", R), ("10^{-3}", "0.001", R), ("2^10", "1024", R), ("2^10", "10", W),
        ("2^10", "2", U), ("10²", "100", R), ("10²", "102", W), ("10²", "2", W), ("42¹", "42", R), ("1e6 people", "1000000", R),
        ("2^x", "2", U), ("√2", "2", U), ("\\sqrt{2}", "2", U), ("2π", "2", U), ("5!", "120", U), ("5!", "5", R), ("-1e6", "-1000000", R),
        ("1e400", "12", W), ("10^1000000", "12", W),
    )),
    Group("fractions", "numeric", (
        ("2½", "2.5", R), ("2½", "10.5", W), ("2½", "2", W), ("½", "0.5", R), ("2 1/2", "2.5", R), ("2 1/2", "0.5", W), ("1/2", "0.5", R),
        ("1⁄2", "0.5", R), ("two and a half", "2.5", R), ("two and a half", "2", W), ("2 and a half", "2.5", R), ("three quarters", "0.75", R),
        ("two thirds", "2/3", R), ("one half", "0.5", R), ("half", "0.5", U), ("\\frac{2}{3}", "2/3", R), ("\\frac{2}{3}", "3", W),
        ("\\dfrac{2}{3}", "2/3", R), ("\\frac23", "2/3", R), ("-\\frac{1}{2}", "-0.5", R), ("1\\frac{1}{2}", "1.5", R), ("2-1/2", "2.5", U),
        ("$\\boxed{\\frac{2}{3}}$", "2/3", R), ("14/12/1972", "1972", U), ("14/12/1972", "3", W), ("1/0", "1", W), ("3¼ cups", "3.25", R),
        ("half a million", "500000", R), ("half a million", "1000000", W), ("0.5 or so", "1/2", R), ("a third", "1/3", U),
    )),
    Group("scales", "numeric", (
        ("2 million", "2000000", R), ("2 million", "2", W), ("2 Million people", "2000000", R), ("3k", "3000", R), ("3k", "3", U), ("$1.5M", "1500000", R),
        ("$1.5M", "1.5", W), ("$1.5m", "1500000", R), ("2bn", "2000000000", R), ("2 bn", "2000000000", R), ("£2 bn", "2000000000", R),
        ("2M", "2000000", U), ("2M", "2", U), ("2M", "3", W), ("$2B", "2000000000", R), ("two million", "2000000", R), ("a million", "1000000", R),
        ("1.5 billion", "1500000000", R), ("2 million three hundred thousand", "2300000", R), ("2 hundred", "200", R), ("two dozen", "24", R),
        ("2 thousand", "2000", R), ("**2** million", "2000000", R), ("5 lakh", "500000", R), ("1,5 million", "1500000", R), ("millions", "1000000", W),
        ("€3 trillion", "3000000000000", R), ("twelve hundred", "1200", R), ("one hundred and five", "105", R), ("one hundred, five", "105", W),
    )),
    Group("separators", "numeric", (
        ("1,000", "1000", R), ("1,000.50", "1000.5", R), ("10 000", "10000", R), ("10\u2009000", "10000", R), ("10\u202f000", "10000", R),
        ("10\u00a0000", "10000", R), ("10\\,000", "10000", R), ("9\\,500", "9500", R), ("9{,}500", "9500", R), ("\\boxed{\\$9{,}500}", "9500", R),
        ("\\boxed{\\$9{,}500}", "500", W), ("1,00,000", "100000", R), ("12,34,567", "1234567", R), ("1'000'000", "1000000", R),
        ("1’000", "1000", R), ("1_000_000", "1000000", R), ("1.000.000", "1000000", R), ("1.234,56", "1234.56", R), ("1.234.567,89", "1234567.89", R),
        ("1.000", "1", R), ("1.000", "1000", U), ("1,234", "1234", R), ("1,234", "1.234", U), ("3,14", "3.14", R), ("0,5", "0.5", R),
        ("It is 3,14 or so", "3.14", U), ("1,2 and 3", "3", U), ("1,2 and 3", "7", W), ("9 500", "9500", U), ("100 200 300", "300", U),
        ("1,000,000", "1000", W), ("12.5%", "12.5", R), ("0.001", "0.001", R), ("00012", "12", R), ("12.0", "12", R), ("12.", "12", R),
        ("1 000 000", "1000000", R), ("٣٤", "34", R), ("３４", "34", R), ("5①", "51", W), ("5①", "5", U), ("①", "1", R),
        ("1\u200b2", "12", R),
    )),
    Group("percent and money", "numeric", (
        ("30%", "30", R), ("30 %", "30", R), ("30 percent", "30", R), ("30%", "0.3", U), ("0.3", "30%", U), ("$18.00", "18", R), ("18 dollars", "18", R),
        ("US$18", "18", R), ("18€", "18", R), ("£18", "18", R), ("$18", "19", W), ("18¢", "18", R),
    )),
    Group("which number", "numeric", (
        ("The answer is 12.", "12", R), ("The answer is 12, not 13.", "12", R), ("The answer is 12, not 13.", "13", W), ("12 or 13", "12", U),
        ("12 or 13", "14", W), ("12-13", "12", U), ("between 12 and 13", "13", U), ("The answer is 12 or 13.", "12", U), ("12, I mean 13", "13", U),
        ("3*4 = 12", "12", R), ("3 * 4 = 12", "4", W), ("2*6 = 3*4 = 12", "12", R), ("There were 12 countries in 1989.", "12", U),
        ("There were 12 countries in 1989.", "15", W), ("The answer is 12 because 1989 came later.", "12", R), ("12 (twelve)", "12", R),
        ("twelve (12)", "12", R), ("#### 12", "12", R), ("I had 7, then 5, so \\boxed{12}", "12", R), ("Answer: 12", "12", R), ("**Answer:** 12", "12", R),
        ("The final answer to this is 12", "12", R), ("not 12", "12", U), ("none of it", "12", W), ("", "12", W), ("I don't know", "12", W),
        ("I don't know, but perhaps 12", "12", R), ("12th", "12", U), ("1990s", "1990", U), ("5 + 7 equals 12", "12", R), ("= 12, I mean 13", "12", U),
        ("9" * 80, "12", W), ("twelve", "12", R), ("twenty-one", "21", R), ("Twenty one", "21", R), ("three point one four", "3.14", R),
        ("nineteen eighty-four", "84", U), ("v1.2.3", "2", W), ("1.2.3", "2", U), ("5:30", "30", U), ("No one of them", "1", W),
    )),
    Group("numbers of the question", "numeric", (
        ("12", "12", R), ("7 + 5 = 12", "12", R), ("7 + 5", "5", W), ("What is 7 + 5?", "5", W), ("What is 7 + 5? 12", "12", R), ("7 + 5 =", "12", W),
        ("5", "5", R), ("7 + 5 is 12", "12", R), ("7 + 5 is 12.0", "12", R), ("7 plus 5 gives twelve", "12", R), ("7 and 5 make 13", "12", W),
    ), "What is 7 + 5?"),
]

NAMES = [
    Group("symbols", "open", (
        ("C#", "C++", W), ("C++", "C++", R), ("C++.", "C++", R), ("**C++**", "C++", R), ("C", "C++", W), ("C++", "C", W), ("C#", "C", W), ("c++", "C++", W),
        ("It is C++, I think", "C++", R), ("O+", "O-", W), ("O-", "O-", R), ("O−", "O-", R), ("It is O- here", "O-", R), ("O", "O-", W), ("AB+", "AB-", W),
        ("Na+", "Na", W), ("(0, 1)", "[0, 1]", W), ("[0, 1]", "[0, 1]", R), ("[0,1]", "[0, 1]", R), ("It is [0, 1].", "[0, 1]", R), ("(0, 1]", "(0, 1)", W),
        ("0, 1", "(0, 1)", U), ("f(x)", "f'(x)", W), ("f'(x)", "f'(x)", R), ("f′(x)", "f'(x)", R), ("f'(x)", "f(x)", W), ("CO", "Co", W), ("Co", "Co", R),
        ("Co", "CO", W), ("5!", "5!", R), ("5", "5!", U), ("x^2", "x²", R), ("x²", "x^2", R), ("E = mc2", "E=mc²", R), ("x < 5", "x > 5", W), ("x < 5", "x < 5", R),
        ("Disney+", "Disney+", R), ("Disney", "Disney+", W), ("f(x)", "f", U), ("a*b", "a·b", R), (".NET", ".NET", R), ("x <= 5", "x ≤ 5", R), ("Yahoo", "Yahoo!", R),
        ("Yahoo!", "Yahoo", R), ("Washington DC", "Washington (D.C.)", R), ("{1, 2}", "{1, 2}", R), ("{1, 2}", "(1, 2)", W),
    ), "Which one is it?"),
    Group("case", "open", (
        ("It may be June.", "May", W), ("It is May.", "May", R), ("May", "May", R), ("may", "May", R), ("May.", "May", R), ("May be June", "May", U), ("It will be Rose.", "Will", W),
        ("It is Will.", "Will", R), ("They march in June.", "March", U), ("In March.", "March", R), ("a nice city", "Nice", R), ("It is a nice city.", "Nice", U),
        ("It is Nice.", "Nice", R), ("The capital is paris.", "Paris", R), ("PARIS", "Paris", R), ("it is oxygen", "Oxygen", R), ("It is oxygen.", "Oxygen", R),
        ("au", "Au", W), ("Au", "Au", R), ("In chemistry it is tin", "In", W), ("In (indium)", "In", R), ("The symbol is In", "In", R), ("who knows", "WHO", U),
        ("No.", "no", R), ("Yes, it is.", "Yes", R), ("yes", "Yes", R), ("No, I would not say yes", "Yes", U), ("ask us", "U.S.", W), ("the US", "U.S.", R),
    ), "Which one is it?"),
    Group("spelling", "open", (
        ("Simon & Garfunkel", "Simon and Garfunkel", R), ("Simon and Garfunkel", "Simon & Garfunkel", R), ("St Johns", "St. John's", R), ("St. John's", "St Johns", R),
        ("Levis", "Levi's", R), ("Levi's", "Levis", R), ("Ndjamena", "N'Djamena", R), ("N’Djamena", "Ndjamena", R), ("Nukuʻalofa", "Nuku'alofa", R), ("Nukualofa", "Nuku'alofa", R),
        ("Nuku'alofa", "Nukuʻalofa", R), ("ACDC", "AC/DC", R), ("AC/DC", "ACDC", R), ("WiFi", "Wi-Fi", R), ("Wi-Fi", "WiFi", R), ("wifi", "Wi-Fi", R), ("Wi Fi", "Wi-Fi", R),
        ("Hawaiʻi", "Hawai'i", R), ("Hawaii", "Hawaiʻi", R), ("Guinea Bissau", "Guinea-Bissau", R), ("Bogota", "Bogotá", R), ("Lodz", "Łódź", R), ("Tromso", "Tromsø", R),
        ("Strasse", "Straße", R), ("Ｐａｒｉｓ", "Paris", R), ("Pa\u00adris", "Paris", R), ("Cote d'Ivoire", "Côte d’Ivoire", R), ("William Shakespeare's", "Shakespeare", R),
        ("Parisian", "Paris", W), ("comparison", "Paris", W), ("Niger", "Nigeria", W), ("Nigeria", "Niger", W), ("AT&T", "AT&T", R), ("AT and T", "AT&T", R), ("R&B", "R&B", R),
        ("It was Beatles", "The Beatles", R), ("Buenos", "Buenos Aires", W), ("J.R.R. Tolkien", "J. R. R. Tolkien", R), ("JRR Tolkien", "J.R.R. Tolkien", R), ("A/B", "AB", W),
        ("tumour", "tumor", W), ("Paris\u200b", "Paris", R), ("\\text{Paris}", "Paris", R), ("\\boxed{Paris}", "Paris", R),
    ), "Which one is it?"),
    Group("refusals and denials", "open", (
        ("I don't know", "Rome", W), ("I cannot answer that: Rome is out of reach", "Rome", W), ("I'm not sure, but it may be Rome", "Rome", R), ("unknown", "Unknown", R),
        ("It is not Rome.", "Rome", U), ("It isn't Rome", "Rome", U), ("Paris rather than Rome", "Rome", U), ("Paris, not Rome", "Paris", R), ("", "Rome", W), ("...", "Rome", W),
        ("I do not know but I do not know but Rome", "Rome", R), ("Rome but I don't know", "Rome", W), ("N/A", "Rome", W), ("Not only Rome", "Rome", R),
    ), "Which city is it?"),
    Group("open numbers", "open", (
        ("14 December 1972", "14 December 1972", R), ("on 14 December 1973", "14 December 1972", W), ("1 season", "one season", R), ("24 hours", "24", R), ("-40", "40", W),
        ("**-40**", "-40", R), ("**-40**", "40", W), ("0.00001", "0.00001", R), ("1e-05", "0.00001", R), ("2½ miles", "2.5 miles", R), ("2.5 miles", "2½ miles", R),
        ("5 m²", "5 m2", R), ("2,000,000 people", "2 million people", R),
    ), "Which one is it?"),
]

LETTERS = [
    Group("letters without options", "choice", (
        ("B", "B", R), ("b", "B", R), ("(B)", "B", R), ("B.", "B", R), ("B) Paris", "B", R), ("B: Paris", "B", R), ("B Paris", "B", R), ("**B**", "B", R), ("**B. Paris**", "B", R),
        ("The answer is B", "B", R), ("The answer is (B).", "B", R), ("the answer is b.", "B", R), ("Answer: **B**", "B", R), ("$\\boxed{B}$", "B", R), ("\\boxed{\\text{B}}", "B", R),
        ("B because it is", "B", R), ("A because it is", "A", R), ("I think C", "C", R), ("I'm for D", "D", R), ("B is right", "B", R), ("A is right", "A", R), ("B big house", "B", U),
        ("A big house", "A", U), ("A big house", "B", W), ("B. 37 °C", "B", R), ("B. 37 °C", "C", W), ("B. 5 A", "A", W), ("B. 300 K", "B", R), ("A or B", "A", U), ("A or B", "C", W),
        ("A and B", "B", U), ("B, not C", "B", R), ("B, not C", "C", W), ("not B", "B", W), ("Not A but B", "B", R), ("A. B.", "B", W), ("AB", "B", W), ("Because", "B", W), ("", "B", W),
        ("I'm not a cat", "A", W), ("It could be A. But the answer is B.", "B", R), ("The answer is A. No, the answer is B.", "B", R), ("The answer is A. No, the answer is B.", "A", W),
        ("B. Since A is too hot and C too cold.", "B", R), ("U.S.", "S", W), ("Option B", "B", R), ("[B]", "B", R), ('"B"', "B", R), ("b)", "B", R), ("b) Paris", "B", R), ("B\n\nBecause A is wrong", "B", U),
        ("The correct option is C because A fails.", "C", R), ("I don't know", "B", W), ("I don't know, but B", "B", R), ("I would say C", "C", R), ("B or C", "B", U),
    ), "Which one, A, B, C or D?"),
    Group("refusal words as options", "choice", (
        ("C. It cannot be determined", "C", R), ("It cannot be determined", "C", R), ("It cannot be determined.", "C", R), ("C", "C", R), ("A. Yes, it will", "A", R), ("Yes, it will", "A", R),
        ("I don't know", "C", W), ("I cannot say.", "C", W), ("The answer is that it cannot be determined", "C", R), ("No, it won't", "B", R), ("No, it won’t.", "B", R), ("maybe", "C", W),
        ("C. It cannot be determined", "A", W),
    ), "Will it rain?", ("Yes, it will", "No, it won't", "It cannot be determined")),
    Group("not enough information", "choice", (
        ("Not enough information", "B", R), ("not enough information.", "B", R), ("There is not enough information.", "B", R), ("B", "B", R), ("Unknown", "C", R), ("unknown", "C", R),
        ("I do not know", "D", R), ("I do not know", "A", W), ("None", "A", R), ("none", "A", R), ("None", "B", W), ("", "A", W), ("D. I do not know", "D", R),
    ), "Who came first?", ("None", "Not enough information", "Unknown", "I do not know")),
    Group("yes and no", "choice", (
        ("Yes", "A", R), ("yes", "A", R), ("No", "B", R), ("no", "B", R), ("No.", "B", R), ("**No**", "B", R), ("Answer: No", "B", R), ("Answer: no", "B", R), ("Answer: Yes", "A", R), ("No, they are not", "B", R),
        ("Yes, they are", "A", R), ("No, I would not say yes", "B", R), ("No, I would not say yes", "A", W), ("The answer is no.", "B", R), ("The answer is yes.", "A", R), ("A", "A", R), ("B", "B", R),
        ("B. No", "B", R), ("A. No", "B", W), ("Yes and no", "A", R), ("Yes or No", "A", U), ("Yes or No", "B", U), ("I would say no", "B", U), ("I would say no", "A", W), ("I would say yes", "A", U), ("Nobody", "B", W),
        ("Noway", "B", W), ("It is No", "B", R), ("It is Yes", "A", R), ("I don't know", "B", W), ("no, they are not", "B", R), ("yes, they are", "A", R),
    ), "Are they alike?", ("Yes", "No")),
    Group("numbers as options", "choice", (
        ("The answer is 12.", "B", R), ("It is 160", "D", R), ("It is 12", "B", R), ("12", "B", R), ("twelve", "B", R), ("12.0", "B", R), ("12.5", "B", W), ("112", "B", W), ("B. 12", "B", R), ("10 or 12", "B", U), ("10 or 12", "C", W),
        ("12 pages", "B", R), ("The answer is 12, not 14", "B", R), ("14 rather than 12", "B", W), ("14 rather than 12", "C", R), ("C", "C", R), ("1,2", "B", W), ("The answer is 12.5", "B", W),
    ), "How many pages?", ("10", "12", "14", "160")),
    Group("short options", "choice", (
        ("It is UK.", "A", R), ("UK", "A", R), ("uk", "A", R), ("pH", "C", R), ("The pH is low", "C", R), ("US", "B", R), ("Let us see", "B", U), ("It is the US, of course", "B", R), ("B", "B", R), ("UK or US", "A", U), ("ph", "C", R),
        ("D. CO", "D", R), ("CO", "D", R), ("Co", "E", R), ("It is Co here", "E", R), ("It is Co here", "D", W), ("It is CO here", "E", W),
    ), "Which one?", ("UK", "US", "pH", "CO", "Co")),
    Group("options that differ by symbols", "choice", (
        ("(0, 1)", "A", R), ("[0, 1]", "B", R), ("(0,1)", "A", R), ("It is [0, 1]", "B", R), ("f(x)", "C", R), ("f'(x)", "D", R), ("It is f'(x).", "D", R), ("It is f'(x).", "C", W), ("5", "E", R), ("5!", "F", R), ("It is 5!", "E", W),
        ("C++", "G", R), ("C#", "H", R), ("It is C#.", "H", R), ("It is C#.", "C", W), ("0, 1", "A", U),
    ), "Which one?", ("(0, 1)", "[0, 1]", "f(x)", "f'(x)", "5", "5!", "C++", "C#")),
    Group("texts of options", "choice", (
        ("C", "C", R), ("c)", "C", R), ("C. Vitamin C", "C", R), ("Vitamin C", "C", R), ("It is vitamin c.", "C", R), ("B. Vitamin C", "C", W), ("Vitamin A", "C", W), ("Vitamin C and iron", "C", W), ("Vitamin C and iron", "D", R),
        ("Vitamin C or Vitamin A", "C", U), ("Vitamin C or Vitamin A", "B", W), ("C or D", "C", U), ("E", "C", W), ("Iron, not vitamin C", "B", R), ("not Iron", "B", W), ("Calcium", "B", W), ("A. Vitamin A\nB. Iron\nC. Vitamin C", "C", U),
        ("(C) Vitamin C", "C", R), ("**C. Vitamin C**", "C", R), ("**C**: Vitamin C", "C", R), ("The answer is Vitamin C because scurvy", "C", R), ("Irony", "B", W), ("the answer: iron", "B", R), ("Answer: C\n\nA is for eyes.", "C", R),
        ("I'm not sure, but C", "C", R), ("A vitamin is missing: Vitamin C", "C", R), ("C\n", "C", R), ("\\boxed{C}", "C", R), ("$C$", "C", R), ("Option C is right", "C", R), ("C - Vitamin C", "C", R), ("C, Vitamin C", "C", R),
    ), "What is missing in scurvy?", ("Vitamin A", "Iron", "Vitamin C", "Vitamin C and iron")),
]

GROUPS = [*NUMBERS, *NAMES, *LETTERS]
