"""What short codes stand for: currencies, states, countries, languages, units, a few tickers.

A value may be a code for what was said (`GBP` for British pounds). The table is small on purpose:
it holds what tools commonly ask for, not an encyclopaedia.
"""

from collections.abc import Mapping
from functools import cache

from toolrm_guard.normal import stems

_CODES: Mapping[str, str] = {
    "usd": "dollar|dollars|us dollar|usd|$",
    "eur": "euro|euros|€",
    "gbp": "british pound|pound|£|sterling",
    "jpy": "japanese yen|yen",
    "cny": "yuan|chinese yuan|rmb|renminbi|元",
    "inr": "indian rupee|rupee",
    "cad": "canadian dollar",
    "aud": "australian dollar",
    "chf": "swiss franc",
    "krw": "won",
    "mxn": "mexican peso|peso",
    "brl": "brazilian real",
    "sgd": "singapore dollar",
    "thb": "baht",
    "btc": "bitcoin",
    "eth": "ethereum",
    "aapl": "apple",
    "goog": "google|alphabet",
    "googl": "google|alphabet",
    "msft": "microsoft",
    "amzn": "amazon",
    "tsla": "tesla",
    "meta": "facebook",
    "nflx": "netflix",
    "nvda": "nvidia",
    "ibm": "ibm",
    "baba": "alibaba",
    "dis": "disney",
    "wmt": "walmart",
    "jpm": "jpmorgan",
    "intc": "intel",
    "amd": "amd",
    "km": "kilometer|kilometre",
    "mi": "mile",
    "m": "meter|metre",
    "cm": "centimeter",
    "kg": "kilogram|kilo",
    "g": "gram",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "l": "liter",
    "ft": "feet|foot",
    "in": "inch",
    "celsius": "c|centigrade|metric|°c",
    "c": "celsius|°c",
    "fahrenheit": "f|imperial|°f",
    "f": "fahrenheit|°f",
    "metric": "celsius|kilogram|meter|km|kg|cm",
    "imperial": "fahrenheit|pound|feet|mile|inch|lbs",
    "en": "english",
    "es": "spanish",
    "fr": "french|france",
    "de": "german|germany",
    "zh": "chinese",
    "ja": "japanese",
    "it": "italian|italy",
    "pt": "portuguese",
    "ru": "russian",
    "ko": "korean",
    "ar": "arabic",
    "hi": "hindi",
    "da": "danish",
    "nl": "dutch",
    "sv": "swedish",
    "tr": "turkish",
    "pl": "polish",
    "vi": "vietnamese",
    "th": "thai",
    "us": "united states|usa|america|american",
    "usa": "united states|america|american",
    "united states": "us|usa|america|american",
    "uk": "united kingdom|britain|england|british",
    "united kingdom": "uk|britain|british|england",
    "gb": "united kingdom|britain",
    "cn": "china|chinese",
    "jp": "japan|japanese",
    "in ": "india|indian",
    "br": "brazil",
    "france": "french",
    "germany": "german",
    "italy": "italian",
    "spain": "spanish",
    "china": "chinese",
    "japan": "japanese",
    "india": "indian",
    "mexico": "mexican",
    "canada": "canadian",
    "french": "france",
    "german": "germany",
    "italian": "italy",
    "spanish": "spain",
    "chinese": "china",
    "japanese": "japan",
    "indian": "india",
    "english": "england",
    "male": "man|he|boy|husband|son|brother|father|mr",
    "female": "woman|she|girl|wife|daughter|sister|mother|mrs",
    "m ": "male|man",
    "asc": "ascending|lowest|cheapest",
    "desc": "descending|highest|latest",
    "ascending": "lowest|cheapest|increasing",
    "descending": "highest|decreasing|latest",
    "nyc": "new york",
    "sf": "san francisco",
    "la": "los angeles",
    "dc": "washington",
    "daily": "every day|each day|everyday",
    "weekly": "every week|each week",
    "monthly": "every month|per month",
    "yearly": "every year|annual|per year",
    "annually": "every year|annual|yearly",
    "hourly": "every hour",
    "vegetarian": "veggie",
    "tv": "television",
    "ai": "artificial intelligence",
}
_STATES = (
    "al:alabama,ak:alaska,az:arizona,ar:arkansas,ca:california,co:colorado,ct:connecticut,"
    "de:delaware,fl:florida,ga:georgia,hi:hawaii,id:idaho,il:illinois,in:indiana,ia:iowa,"
    "ks:kansas,ky:kentucky,la:louisiana,me:maine,md:maryland,ma:massachusetts,mi:michigan,"
    "mn:minnesota,ms:mississippi,mo:missouri,mt:montana,ne:nebraska,nv:nevada,"
    "nh:new hampshire,nj:new jersey,nm:new mexico,ny:new york,nc:north carolina,"
    "nd:north dakota,oh:ohio,ok:oklahoma,or:oregon,pa:pennsylvania,ri:rhode island,"
    "sc:south carolina,sd:south dakota,tn:tennessee,tx:texas,ut:utah,vt:vermont,va:virginia,"
    "wa:washington,wv:west virginia,wi:wisconsin,wy:wyoming,dc:washington"
)
_REGIONS = dict(item.split(":") for item in _STATES.split(","))
_CITIES = (
    "ma:boston,cambridge;il:chicago;wa:seattle;fl:miami,orlando,tampa;tx:austin,dallas,houston,"
    "san antonio;co:denver;ga:atlanta;az:phoenix;or:portland;mi:detroit;ca:san francisco,"
    "los angeles,san diego,san jose,berkeley,sacramento,oakland,palo alto,fremont,santa rosa,"
    "anaheim,hayward,walnut creek,san rafael,mountain view;ny:new york,brooklyn,new york city;"
    "pa:philadelphia,pittsburgh;nv:las vegas;tn:nashville,memphis;md:baltimore;mn:minneapolis;"
    "la:new orleans;ut:salt lake city;mo:st. louis,kansas city;oh:cleveland,columbus,cincinnati;"
    "nc:charlotte,raleigh;in:indianapolis;wi:milwaukee;hi:honolulu;france:paris,lyon,nice;"
    "uk:london,manchester;england:london;italy:rome,milan,venice;germany:berlin,munich;japan:tokyo,"
    "kyoto,osaka;spain:madrid,barcelona;canada:toronto,vancouver,montreal;australia:sydney,melbourne;"
    "india:mumbai,delhi,bangalore;china:beijing,shanghai;netherlands:amsterdam;austria:vienna"
)
_REGION_OF: Mapping[str, frozenset[str]] = {
    region: frozenset(names.split(","))
    for region, _, names in (part.partition(":") for part in _CITIES.split(";"))
}


@cache
def spellings(code: str) -> tuple[tuple[str, ...], ...]:
    """Return the stems of what a lower-case code stands for; empty if it is none we know."""
    texts = [t for t in _CODES.get(code, "").split("|") if t]
    if code in _REGIONS:
        texts.append(_REGIONS[code])
    return tuple(tuple(stems(text)) for text in texts if stems(text))


def is_in(city: str, region: str) -> bool:
    """Tell whether a lower-case city is known to lie in a region: `boston`, `ma`."""
    short = {full: code for code, full in _REGIONS.items()}.get(region, region)
    return city in _REGION_OF.get(short, ()) or city in _REGION_OF.get(region, ())
