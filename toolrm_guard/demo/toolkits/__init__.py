"""Seven small worlds for the demo's agent, one module each, in memory and safe to break."""

from toolrm_guard.demo.toolkits.bank import Bank
from toolrm_guard.demo.toolkits.bookings import Bookings
from toolrm_guard.demo.toolkits.calendar import Calendar
from toolrm_guard.demo.toolkits.files import Files
from toolrm_guard.demo.toolkits.home import Home
from toolrm_guard.demo.toolkits.mail import Mail
from toolrm_guard.demo.toolkits.shop import Shop
from toolrm_guard.demo.toolkits.toolkit import Toolkit

ALL_TOOLKITS: tuple[type[Toolkit], ...] = (Mail, Calendar, Files, Bookings, Shop, Bank, Home)

__all__ = [
    "ALL_TOOLKITS",
    "Bank",
    "Bookings",
    "Calendar",
    "Files",
    "Home",
    "Mail",
    "Shop",
    "Toolkit",
]
