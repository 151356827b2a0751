"""What a secret looks like: one detector a kind.

The shapes are the issuers' own documentation and the prefixes that GitHub's secret scanning lists
as public. Every expression runs in linear time: it starts at a literal or at the start of a run,
repeats are bounded or possessive, and what must be computed (a check digit) is left to Python.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One kind of secret.

    Attributes:
        kind: Its name in the placeholder.
        anchors: Literals of which a text holds at least one, in lower case; none if `pattern` is
            always to be tried. Looking for a literal costs a fraction of looking for a pattern.
        pattern: Its group `secret` is what is replaced, or else the whole match.
        narrow: Returns the ranges of the secrets inside the match, in order; often there is none.
    """

    kind: str
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    narrow: Callable[[re.Match[str]], Iterable[Range]] | None = None

    def find(self, text: str) -> list[Range]:
        """Return where secrets of this kind stand, in order; a placeholder is none."""
        group = "secret" if "secret" in self.pattern.groupindex else 0
        found: list[Range] = []
        for match in self.pattern.finditer(text):
            found.extend([match.span(group)] if self.narrow is None else self.narrow(match))
        return [span for span in found if not text.startswith(PLACEHOLDER, span[0])]


PLACEHOLDER = "<redacted:"


def _token(kind: str, anchors: str, pattern: str) -> Detector:
    return Detector(kind=kind, anchors=tuple(anchors.lower().split()), pattern=re.compile(pattern))


# Not preceded by a letter or digit, where the prefix alone is too common: `task-...` is no `sk-...`
_L = r"(?<![A-Za-z0-9])"
_W = r"[A-Za-z0-9_-]"

_TOKENS = [
    _token("aws_access_key", "akia asia abia acca", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    _token("aws_mws_key", "amzn.mws.", r"amzn\.mws\.[0-9a-f-]{36}"),
    _token("gcp_api_key", "aiza", r"AIza[A-Za-z0-9_-]{35}"),
    _token("google_oauth", "ya29. gocspx- 1//0", rf"(?:ya29\.|GOCSPX-|{_L}1//0){_W}{{20,512}}"),
    _token("azure_secret", "q~", r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    _token("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    _token("github_token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    _token("gitlab_token", "glpat- glptt- gldt- glrt- glcbt- glft- glsoat- glimt- glagent-",
           rf"gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent)-{_W}{{20,300}}"),
    _token("gitlab_token", "gr1348941", rf"GR1348941{_W}{{20,50}}"),
    _token("slack_token", "xox xapp-", r"(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{10,255}"),
    _token("slack_webhook", "hooks.slack.com/",
           r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,200}"),
    _token("discord_webhook", "/api/webhooks/", rf"/api/webhooks/[0-9]{{15,22}}/{_W}{{50,90}}"),
    _token("discord_token", ".", rf"{_L}[MNO][A-Za-z0-9_-]{{23,27}}\.{_W}{{6}}\.{_W}{{27,45}}"),
    _token("teams_webhook", "webhook.office.com/",
           r"webhook\.office\.com/webhookb2/[A-Za-z0-9@/-]{40,250}"),
    _token("telegram_token", ":aa", rf"[0-9]{{8,10}}:AA{_W}{{33}}"),
    _token("stripe_key", "sk_ rk_ pk_", r"[srp]k_(?:live|test|prod)_[A-Za-z0-9]{10,255}"),
    _token("stripe_webhook", "whsec_", r"whsec_[A-Za-z0-9+/=]{20,100}"),
    _token("square_token", "sq0", rf"sq0(?:atp|csp|idp)-{_W}{{20,50}}"),
    _token("shopify_token", "shp", r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    _token("paypal_token", "access_token$",
           r"access_token\$(?:production|sandbox)\$[A-Za-z0-9$]{20,120}"),
    _token("twilio_key", "sk", r"SK[0-9a-f]{32}"),
    _token("sendgrid_key", "sg.", rf"SG\.{_W}{{16,32}}\.{_W}{{16,64}}"),
    _token("mailgun_key", "key-", r"key-[0-9a-f]{32}"),
    _token("mailchimp_key", "-us", rf"{_L}[0-9a-f]{{32}}-us[0-9]{{1,2}}"),
    _token("anthropic_key", "sk-ant-", rf"sk-ant-{_W}{{20,255}}"),
    _token("openai_key", "sk-", rf"(?:{_L}sk-|sk-proj-|sk-svcacct-){_W}{{20,255}}"),
    _token("huggingface_token", "hf_", r"(?:hf|api_org)_[A-Za-z0-9]{30,60}"),
    _token("replicate_token", "r8_", rf"{_L}r8_[A-Za-z0-9]{{30,50}}"),
    _token("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{40,70}"),
    _token("xai_key", "xai-", r"xai-[A-Za-z0-9]{40,100}"),
    _token("perplexity_key", "pplx-", r"pplx-[A-Za-z0-9]{32,64}"),
    _token("langsmith_key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    _token("npm_token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _token("pypi_token", "pypi-", rf"pypi-{_W}{{50,300}}"),
    _token("rubygems_key", "rubygems_", r"rubygems_[0-9a-f]{48}"),
    _token("crates_token", "cio", rf"{_L}cio[A-Za-z0-9]{{32}}(?![A-Za-z0-9])"),
    _token("docker_token", "dckr_", rf"dckr_[po]at_{_W}{{20,60}}"),
    _token("digitalocean_token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _token("heroku_key", "hrku-", rf"HRKU-{_W}{{30,80}}"),
    _token("fly_token", "fo1_ fm2_ fm1", r"(?:fo1|fm1[ar]|fm2)_[A-Za-z0-9+/=_-]{40,2000}"),
    _token("netlify_token", "nfp_", rf"{_L}nfp_[A-Za-z0-9]{{36}}"),
    _token("terraform_token", ".atlasv1.", rf"[A-Za-z0-9]{{14}}\.atlasv1\.{_W}{{60,70}}"),
    _token("vault_token", "hvs. hvb. hvr.", rf"hv[sbr]\.{_W}{{24,300}}"),
    _token("doppler_token", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,80}"),
    _token("planetscale_token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9._=-]{30,64}"),
    _token("databricks_token", "dapi", r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    _token("atlassian_token", "atatt3 atctt3 atbb", r"AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{20,250}"),
    _token("linear_key", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    _token("notion_token", "ntn_ secret_",
           rf"ntn_[A-Za-z0-9]{{40,60}}|{_L}secret_[A-Za-z0-9]{{43}}"),
    _token("figma_token", "figd_", rf"figd_{_W}{{40,60}}"),
    _token("airtable_token", "pat", rf"{_L}pat[A-Za-z0-9]{{14}}\.[0-9a-f]{{64}}"),
    _token("postman_key", "pmak-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _token("newrelic_key", "nrak- nral- nrii-", rf"NR(?:AK|AL|II)-{_W}{{20,60}}"),
    _token("grafana_token", "glsa_ glc_", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,400}"),
    _token("sentry_token", "sntrys_ sntryu_", r"sntry[su]_[A-Za-z0-9+/=_]{40,400}"),
    _token("dynatrace_token", "dt0", r"dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    _token("age_key", "age-secret-key-", r"AGE-SECRET-KEY-1[A-Za-z0-9]{50,70}"),
    _token("onepassword_token", "ops_eyj", rf"ops_eyJ{_W}{{50,2000}}"),
    _token("facebook_token", "eaa", rf"{_L}EAA[A-Za-z0-9]{{80,300}}"),
    _token("twitter_token", "aaaaaaaaaaaaaaaaaa", r"A{18,40}[A-Za-z0-9%]{40,150}"),
    _token("password_hash", "$",
           r"\$(?:2[abxy]|[156y]|argon2(?:id?|d)|scrypt|pbkdf2-sha\d{1,3})\$[^\s\"'<>]{20,256}"),
]  # fmt: skip


def _jwt(match: re.Match[str]) -> Iterator[Range]:
    first, second = match[0].split(".", 2)[:2]
    at = first.find("eyJ")  # what stands before it may belong to the text around the token
    if 0 <= at < len(first) - 8 and second:
        yield match.start() + at, match.end()


def _basic(match: re.Match[str]) -> Iterator[Range]:
    encoded = match["secret"]
    try:
        said = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return
    if b":" in said:
        yield match.span("secret")


def _bearer(match: re.Match[str]) -> Iterator[Range]:
    value = match["secret"]  # "bearer instruments" are words
    if len(value) >= 24 or any(c.isdigit() for c in value):
        yield match.span("secret")


_KEY_BODY = r"[^-]*+(?:-(?!---)[^-]*+)*+"  # up to the next fence, or to the end of a cut text

_CONTEXT = [
    Detector(
        kind="private_key",
        anchors=("private key",),
        pattern=re.compile(
            rf"-{{4,5}} ?BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)? ?-{{4,5}}{_KEY_BODY}"
            r"(?:-{4,5} ?END [A-Z0-9 ]{0,60} ?-{4,5})?"
        ),
    ),
    Detector(
        kind="private_key",
        anchors=("private-lines:",),
        pattern=re.compile(r"Private-Lines: [0-9]{1,4}(?P<secret>[\sA-Za-z0-9+/=\\]*+)"),
    ),
    Detector(
        kind="jwt",
        anchors=("eyj",),
        pattern=re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{11,}+(?:\.[A-Za-z0-9_-]*+){2,4}+"),
        narrow=_jwt,
    ),
    Detector(
        kind="url_password",
        anchors=("://",),
        pattern=re.compile(r"://[^\s/?#:@'\"<>]{0,128}+:(?P<secret>[^\s/?#'\"<>]{1,256})@"),
    ),
    Detector(
        kind="url_password",
        anchors=("://",),
        pattern=re.compile(r"://(?P<secret>[A-Za-z0-9_.~%-]{20,256}+)@"),
    ),
    Detector(
        kind="bearer_token",
        anchors=("bearer",),
        pattern=re.compile(r"(?i)\bbearer[\s\"':\\]{1,8}(?P<secret>[A-Za-z0-9._~+/=-]{8,4096}+)"),
        narrow=_bearer,
    ),
    Detector(
        kind="basic_auth",
        anchors=("basic",),
        pattern=re.compile(r"(?i)\bbasic\s{1,4}(?P<secret>[A-Za-z0-9+/]{6,1024}+={0,2})"),
        narrow=_basic,
    ),
    Detector(
        kind="password",
        anchors=("-u ", "--user "),
        pattern=re.compile(r"\s(?:-u|--user)\s{1,4}['\"]?[^\s:'\"]{1,64}:(?P<secret>[^\s'\"]{1,256})"),
    ),
    Detector(
        kind="password",
        anchors=("sshpass", "identified by", "login"),
        pattern=re.compile(
            r"(?i)(?:sshpass\s{1,4}-p\s{0,4}|identified\s{1,4}by\s{1,4}|"
            r"\blogin\s{1,4}\S{1,64}\s{1,4}password\s{1,4})['\"]?(?P<secret>[^\s'\";]{1,256})"
        ),
    ),
    Detector(
        kind="aws_signature",
        anchors=("x-amz-",),
        pattern=re.compile(
            r"(?i)x-amz-(?:signature|credential|security-token)=(?P<secret>[^\s&\"'<>]{8,2048})"
        ),
    ),
]  # fmt: skip

SECRETS: tuple[Detector, ...] = (*_CONTEXT, *_TOKENS)
"""What no trace needs: keys, tokens, passwords in their usual places."""
