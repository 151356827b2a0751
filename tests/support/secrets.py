"""Secrets of many kinds, made when asked for: none stands in a file of this repository."""

import base64
import json
import random
import string
from collections.abc import Callable

_LETTERS = string.ascii_letters + string.digits


def _luhn(body: str) -> str:
    """Return a number with its check digit, by the textbook's way from the right."""
    total = 0
    for index, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if index % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def _iban(country: str, body: str) -> str:
    moved = "".join(str(int(c, 36)) for c in body + country + "00")
    return f"{country}{98 - int(moved) % 97:02d}{body}"


def made_up(seed: int = 0) -> dict[str, str]:
    """Return one secret of each kind, alike for a seed; what must not be found is the value."""
    rng = random.Random(seed)

    def some(count: int, letters: str = _LETTERS) -> str:
        # Both a digit and a letter, whatever is drawn: real keys of this length have them.
        last = "B" if "b" not in letters else "b"
        return "7" + "".join(rng.choice(letters) for _ in range(count - 2)) + last

    def word(length: int) -> str:
        return "".join(rng.choice(string.ascii_lowercase) for _ in range(length))

    hexa, upper, digits = "0123456789abcdef", string.ascii_uppercase + string.digits, string.digits
    # fmt: off
    prefixed: dict[str, tuple[str, int, str]] = {
        "aws key": ("AKI" + "A", 16, upper), "aws session key": ("ASI" + "A", 16, upper),
        "gcp key": ("AI" + "za", 35, _LETTERS), "google secret": ("GOC" + "SPX-", 28, _LETTERS),
        "google access": ("ya" + "29.", 60, _LETTERS), "github": ("gh" + "p_", 36, _LETTERS),
        "github server": ("gh" + "s_", 36, _LETTERS),
        "github fine": ("github" + "_pat_", 82, _LETTERS),
        "gitlab": ("gl" + "pat-", 20, _LETTERS), "slack bot": ("xo" + "xb-", 40, _LETTERS),
        "slack app": ("xa" + "pp-", 40, _LETTERS), "stripe": ("sk" + "_live_", 24, _LETTERS),
        "stripe restricted": ("rk" + "_live_", 24, _LETTERS),
        "stripe webhook": ("wh" + "sec_", 32, _LETTERS), "square": ("sq0" + "atp-", 22, _LETTERS),
        "shopify": ("shp" + "at_", 32, hexa), "twilio": ("S" + "K", 32, hexa),
        "mailgun": ("key" + "-", 32, hexa), "anthropic": ("sk" + "-ant-api03-", 95, _LETTERS),
        "openai": ("sk" + "-proj-", 60, _LETTERS), "openai old": ("sk" + "-", 48, _LETTERS),
        "huggingface": ("h" + "f_", 34, _LETTERS), "groq": ("gs" + "k_", 52, _LETTERS),
        "xai": ("xa" + "i-", 80, _LETTERS), "perplexity": ("pp" + "lx-", 48, _LETTERS),
        "npm": ("np" + "m_", 36, _LETTERS), "pypi": ("py" + "pi-", 120, _LETTERS),
        "rubygems": ("ruby" + "gems_", 48, hexa), "docker": ("dckr" + "_pat_", 27, _LETTERS),
        "digitalocean": ("do" + "p_v1_", 64, hexa), "vault": ("hv" + "s.", 90, _LETTERS),
        "planetscale": ("pscale" + "_tkn_", 43, _LETTERS), "databricks": ("da" + "pi", 32, hexa),
        "atlassian": ("ATA" + "TT3", 180, _LETTERS), "linear": ("lin" + "_api_", 40, _LETTERS),
        "notion": ("nt" + "n_", 46, _LETTERS), "figma": ("fi" + "gd_", 43, _LETTERS),
        "newrelic": ("NR" + "AK-", 27, upper), "grafana": ("gl" + "sa_", 41, _LETTERS),
        "sentry": ("sntr" + "ys_", 90, _LETTERS), "age": ("AGE-SECRET" + "-KEY-1", 58, upper),
    }
    # fmt: on
    made = {kind: start + some(count, of) for kind, (start, count, of) in prefixed.items()}

    def segment(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head, body = segment({"alg": "HS256", "typ": "JWT"}), segment({"sub": some(12)})
    made |= {
        "jwt": f"{head}.{body}.{some(43)}",
        "sendgrid": "S" + f"G.{some(22)}.{some(43)}",
        "telegram": f"{rng.randrange(10**8, 10**9)}:A" + f"A{some(33)}",
        "card": _luhn("4" + "".join(rng.choice(digits) for _ in range(14))),
        "card in groups": " ".join(_groups(_luhn("53" + str(rng.randrange(10**12, 10**13))))),
        "iban": _iban("DE", "".join(rng.choice(digits) for _ in range(18))),
        "ssn": f"{rng.randrange(100, 600)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}",
        "private key": _pem(some),
    }
    made["password"] = f"{word(6)}-{rng.randrange(100, 999)}!"
    return made


def _groups(number: str) -> list[str]:
    return [number[at : at + 4] for at in range(0, len(number), 4)]


def _pem(some: Callable[[int], str]) -> str:
    lines = "\n".join(some(64) for _ in range(6))
    fence = "-" * 5
    name = "RSA PRIVATE " + "KEY"
    return f"{fence}BEGIN {name}{fence}\n{lines}\n{fence}END {name}{fence}"


def settings_of(password: str) -> dict[str, str]:
    """Return texts around a password that has no shape of its own: what stands beside tells it."""
    return {
        "url": f"postgres://app:{password}@db.example/main",
        "assignment": f"DB_PASSWORD={password}",
        "yaml": f"db:\n  password: {password}\n  user: app",
        "json": json.dumps({"user": "app", "password": password}),
        "json in json": json.dumps({"body": json.dumps({"clientSecret": password})}),
        "connection string": f"Server=db;Uid=app;Pwd={password};Timeout=3",
        "query": f"https://api.example/v1?user=app&api_key={password}&page=2",
        "option": f"mysqldump --password {password} main",
        "said": f"Hi, my password is {password}",
        "header": f"X-Api-Key: {password}",
        "basic": "Authorization: Basic " + base64.b64encode(f"app:{password}".encode()).decode(),
        "bearer": f"curl -H 'Authorization: Bearer {password.rstrip('!')}x'",
        "curl": f"curl -u app:{password} https://api.example",
        "python": f"connect(user='app', password='{password}')",
        "sql": f"CREATE USER app IDENTIFIED BY '{password}'",
    }
