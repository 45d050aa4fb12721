"""Command lines with and without secrets, and tokens of many forms, for the tests of redaction."""

from __future__ import annotations

import shlex
import string
from pathlib import Path
from random import Random

_HERE = Path(__file__).parent
# What people and programs run all day.
HARMLESS = (_HERE / "commands_harmless.txt").read_text().splitlines()
# Each with one secret, written {}.
GIVEN_AWAY = (_HERE / "commands_with_secrets.txt").read_text().splitlines()


def words_of(line: str, secret: str) -> list[str]:
    # "|" stands for the end of a line, as each line of the list is one command.
    return [word.format(secret).replace("<<E|", "<<E\n").replace("|E", "\nE") for word in shlex.split(line)]


def drawn(random: Random, length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(random.choices(alphabet, k=length))


PEM = "-----{} RSA " + "PRIVATE KEY-----"
HEXADECIMAL = "0123456789abcdef"
URL_SAFE = string.ascii_letters + string.digits + "-_"


# Made here, so that nothing in this file looks like a token to those who search repositories for them.
def tokens(random: Random) -> dict[str, str]:
    def word(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        return drawn(random, length, alphabet)

    return {
        "github": "gh" + random.choice("pousr") + "_" + word(36),
        "github fine": "github" + "_pat_" + word(22) + "_" + word(59),
        "gitlab": "gl" + "pat-" + word(20, URL_SAFE),
        "gitlab runner": "gl" + "rt-" + word(20, URL_SAFE),
        "slack bot": "xo" + "xb-" + word(12, string.digits) + "-" + word(24),
        "slack app": "xa" + "pp-1-A" + word(10) + "-" + word(13, string.digits) + "-" + word(64, HEXADECIMAL),
        "aws id": "AK" + "IA" + word(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        "aws temporary id": "AS" + "IA" + word(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        "openai": "sk" + "-" + word(20) + "9" + word(27),
        "openai project": "sk" + "-proj-" + word(40, URL_SAFE) + "7" + word(40, URL_SAFE),
        "anthropic": "sk" + "-ant-api03-" + word(93, URL_SAFE) + "1AA",
        "stripe": "sk" + "_live_" + word(24),
        "jwt": "ey" + "J" + word(33) + "." + "ey" + "J" + word(50, URL_SAFE) + "." + word(43, URL_SAFE),
        "hugging face": "hf" + "_" + word(34, string.ascii_letters),
        "npm": "np" + "m_" + word(36),
        "pypi": "py" + "pi-AgEIcHlwaS5vcmc" + word(70, URL_SAFE),
        "google": "AI" + "za" + word(35, URL_SAFE),
        "google oauth": "ya" + "29." + word(60, URL_SAFE),
        "sendgrid": "SG" + "." + word(22, URL_SAFE) + "." + word(43, URL_SAFE),
        "digitalocean": "do" + "p_v1_" + word(64, HEXADECIMAL),
        "shopify": "sh" + "pat_" + word(32, HEXADECIMAL),
        "vault": "hv" + "s." + word(90, URL_SAFE),
        "databricks": "da" + "pi" + word(32, HEXADECIMAL),
        "docker": "dc" + "kr_pat_" + word(27, URL_SAFE),
        "telegram": word(10, string.digits) + ":A" + "A" + word(33, URL_SAFE),
        "mailgun": "ke" + "y-" + word(32, HEXADECIMAL),
        "age": "AGE-SECRET" + "-KEY-1" + word(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
        "private key": f"{PEM.format('BEGIN')}\n{word(64)}\n{word(48)}\n{PEM.format('END')}",
    }
