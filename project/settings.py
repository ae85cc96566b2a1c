"""Settings of the smokehouse. The environment is read here and nowhere else; .env.example lists it.

Without any variable set this is a production configuration that refuses to start without a secret
key. `make run` sets the variables that turn it into a development stack.
"""

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP
from environs import validate

from project.environment import Environment, check_rate
from project.postgresql import with_limits

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
env.read_files(BASE_DIR)

# --- Where things are kept -----------------------------------------------------------------------

VAR_DIR = (BASE_DIR / env.str("VAR_DIR", "var")).resolve()

# --- Safety --------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", False)


# `make run` keeps one there; SECRET_KEY_FILE names a file elsewhere, such as a container's secret.
LOCAL_SECRET_KEY = VAR_DIR / "secret_key"
SECRET_KEY = env.str(
    "SECRET_KEY", LOCAL_SECRET_KEY.read_text().strip() if LOCAL_SECRET_KEY.is_file() else ""
)
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "No secret key: set SECRET_KEY, or SECRET_KEY_FILE to a file that holds one"
        f" ('make run' makes {LOCAL_SECRET_KEY})."
    )
# Earlier keys: they sign nothing any more, but links and sessions that they signed stay valid.
SECRET_KEY_FALLBACKS = env.str("SECRET_KEY_FALLBACKS", "").replace(",", " ").split()

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

# Whose X-Forwarded-* headers the server believes: uvicorn reads it, and a check for deployments.
FORWARDED_ALLOW_IPS: list[str] = env.list("FORWARDED_ALLOW_IPS", ["127.0.0.1"])

# On everywhere but in development. Behind a proxy that ends TLS, start uvicorn with --proxy-headers
# and FORWARDED_ALLOW_IPS, or every request is redirected to itself.
HTTPS_ONLY = env.bool("HTTPS_ONLY", not DEBUG)
SECURE_SSL_REDIRECT = HTTPS_ONLY
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
X_FRAME_OPTIONS = "DENY"
# Without the path, also to ourselves: that of an order is its key, and proxies log referrers.
SECURE_REFERRER_POLICY = "strict-origin"
CSRF_FAILURE_VIEW = "meats.error_pages.csrf_failure"

# For how long browsers refuse plain HTTP, whatever happens to the certificate: nobody can take it
# back. So an hour at first; the whole domain, and the list in the browsers themselves, by choice.
HSTS_SECONDS = env.int("HSTS_SECONDS", 3600, validate=validate.Range(min=0))
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = env.bool("HSTS_PRELOAD", False)
if SECURE_HSTS_PRELOAD and not (SECURE_HSTS_INCLUDE_SUBDOMAINS and HSTS_SECONDS >= 31_536_000):
    raise ImproperlyConfigured(
        "HSTS_PRELOAD needs HSTS_INCLUDE_SUBDOMAINS=true and HSTS_SECONDS of 31536000 or more:"
        " the browsers' list takes no other domain."
    )
# `check --deploy` asks for both; they are for the owner of the domain to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# No inline script or style anywhere; the admin lives with it too.
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "object-src": [CSP.NONE],
}

# --- Applications --------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "meats",
    "reports",  # before django_celery_beat: it overrides one of its templates
    "django_celery_beat",
    "hybrid_tasks",
]

# Every one of these works without a thread on the event loop; a middleware that does not would put
# each request through one, so a test keeps it that way.
MIDDLEWARE = [
    "project.request_id.request_id_middleware",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "project.unavailable.UnavailableMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ------------------------------------------------------------------------------------

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # Readers and the one writer do not wait for each other (WAL). A second writer waits its
        # turn (timeout, in seconds) and takes the lock before it reads (IMMEDIATE): upgrading a
        # lock half-way fails at once, whatever the timeout. Django turns foreign keys on itself.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
    }

# Of PostgreSQL; docs/postgresql.md says how many connections each process then has at most. Who
# finds none in the pool waits for POOL_TIMEOUT, then the answer is 503. All times are in seconds; 0
# leaves a limit out, and with POOL_MAX=0 there is no pool.
DATABASE_POOL_MAX = env.int("DATABASE_POOL_MAX", 20, validate=validate.Range(min=0))
DATABASE_POOL_TIMEOUT = env.float("DATABASE_POOL_TIMEOUT", 5.0, validate=validate.Range(min=0.1))
DATABASE_CONNECT_TIMEOUT = env.int("DATABASE_CONNECT_TIMEOUT", 5, validate=validate.Range(min=0))
DATABASE_STATEMENT_TIMEOUT = env.float(
    "DATABASE_STATEMENT_TIMEOUT", 30.0, validate=validate.Range(min=0)
)
DATABASE_LOCK_TIMEOUT = env.float("DATABASE_LOCK_TIMEOUT", 10.0, validate=validate.Range(min=0))

if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"] |= with_limits(
        DATABASES["default"].get("OPTIONS", {}),
        pool_max=DATABASE_POOL_MAX,
        pool_timeout=DATABASE_POOL_TIMEOUT,
        connect_timeout=DATABASE_CONNECT_TIMEOUT,
        statement_timeout=DATABASE_STATEMENT_TIMEOUT,
        lock_timeout=DATABASE_LOCK_TIMEOUT,
    )

# --- Broker, cache and Celery --------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6390/0")


def next_redis_database(url: str) -> str:
    """Return `url` with the next database number, so that clearing the cache spares the queues."""
    parts = urlsplit(url)
    number = parts.path.strip("/") or "0"
    if not number.isdecimal():
        raise ImproperlyConfigured(
            # Not what it ends in now: after a / in a password that is a part of the password.
            "REDIS_URL must end in a database number, as redis://host:6379/0 does;"
            " a / in its password is written %2F."
        )
    return parts._replace(path=f"/{int(number) + 1}").geturl()


CACHES = {
    "default": {
        "BACKEND": "hybrid_tasks.caches.RedisCache",  # Django's, with JSON instead of pickles
        "LOCATION": env.str("CACHE_URL", next_redis_database(REDIS_URL)),
        "KEY_PREFIX": "smokehouse",
    },
    # What each process may remember for itself, also while Redis is away.
    "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "local"},
}

CELERY_BROKER_URL = REDIS_URL
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
# What a worker serves unless --queues says less; what computes for long has a queue of its own.
CELERY_TASK_QUEUES: dict[str, dict[str, Any]] = {"default": {}, "heavy": {}}
CELERY_TASK_ROUTES = ["hybrid_tasks.celery.routing.own_queue"]
# That of our own tasks: on Redis those without one would come first.
CELERY_TASK_DEFAULT_PRIORITY = 5
# Results of tasks are shown by Flower from their events; a Redis result backend would make every
# publish wait 19 s when the broker is away.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TRACK_STARTED = True
CELERY_RESULT_EXPIRES = None  # beat needs no daily clean-up of results that nobody keeps
# Publishing fails fast, so that a broker that refuses or hangs never holds up a request.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 0}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
    # Late-acknowledged work of a killed worker comes back after this; no task may take longer.
    "visibility_timeout": 3600,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# One task ahead per pool process at most: a long task must not sit on others' messages.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# UTC in beat and in crontabs: other zones fire some crontabs late.
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "reports.scheduler:HeartbeatScheduler"
# Save each run at once; a beat killed with -9 would otherwise send its last crontab again.
CELERY_BEAT_SYNC_EVERY = 1
# Touched on every tick of beat; its age is beat's health.
BEAT_HEARTBEAT_FILE = VAR_DIR / "beat.heartbeat"

# --- Email ---------------------------------------------------------------------------------------

EMAIL_HOST = env.str("EMAIL_HOST", "127.0.0.1")
EMAIL_PORT = env.int("EMAIL_PORT", 1025)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", False)  # STARTTLS
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", False)  # TLS from the first byte
EMAIL_TIMEOUT = 10  # seconds for each answer of the server
# Connections that one web process has to the mail server at most, when many mails go out at once.
SMTP_CONNECTIONS = env.int("SMTP_CONNECTIONS", 4, validate=validate.Range(min=1))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Smokehouse <smokehouse@localhost>")

# --- Tasks ---------------------------------------------------------------------------------------

DRAIN_TIMEOUT = env.float("DRAIN_TIMEOUT", 20.0, validate=validate.Range(min=0))  # seconds

TASKS: dict[str, dict[str, Any]] = {
    # Light I/O side effects, on the web server's event loop.
    "default": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": {
            "max_running": 100,  # at once in each web process
            "max_waiting": 10_000,  # besides; more go to the overflow
            "drain_timeout": DRAIN_TIMEOUT,
            "overflow": "celery",  # also takes what is left when the server stops
        },
    },
    # Emails wait for a mail server that may take its time; here they do so without the others'
    # places. As many again as there are connections: while one is sent, the next is written.
    "mail": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": {
            "max_running": 2 * SMTP_CONNECTIONS,
            "max_waiting": 10_000,
            "drain_timeout": DRAIN_TIMEOUT,
            "overflow": "celery",
        },
    },
    # What anybody may start by looking at the article's pages: it takes no places of the orders'.
    "examples": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": {
            "max_running": 50,
            "max_waiting": 1_000,
            "drain_timeout": DRAIN_TIMEOUT,
            "overflow": "celery",
        },
    },
    # Heavy and scheduled jobs, on Celery's workers.
    "celery": {
        "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
        # What computes for long waits in a queue of its own, so that it delays nothing else.
        "QUEUES": ["default", "heavy"],
    },
}

# --- The smokehouse ------------------------------------------------------------------------------

# What the pages call; the development stack points it at a local stand-in.
OUTGOING_URL = env.str("OUTGOING_URL", "https://httpbin.org/")
OUTGOING_TIMEOUT = 10  # seconds
# Where the links in emails lead.
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
# Who is told of each order, by a POST of JSON.
PARTNER_URL = env.str("PARTNER_URL", f"{OUTGOING_URL}post")
# How long an email or a call to the partner waits before its second attempt, in seconds; each
# further wait is four times as long, so that five attempts outlast an outage of some minutes.
RETRY_SECONDS = env.float("RETRY_SECONDS", 5.0, validate=validate.Range(min=0))
# For how many days the link works that confirms an address.
CONFIRM_DAYS = env.int("CONFIRM_DAYS", 7, validate=validate.Range(min=1))
RECEIPTS_DIR = Path(env.str("RECEIPTS_DIR", str(VAR_DIR / "receipts")))
# Event streams that one process keeps open at most, and how many of them for one address.
MAX_STREAMS = env.int("MAX_STREAMS", 1000, validate=validate.Range(min=0))
MAX_STREAMS_PER_ADDRESS = env.int("MAX_STREAMS_PER_ADDRESS", 20, validate=validate.Range(min=0))
# How often one address may order or subscribe, how often it may start an example, how often it may
# try to log in as staff, how often anybody may with one name, and where all processes count it.
POST_RATE = env.str("POST_RATE", "30/minute", validate=check_rate)
EXAMPLE_RATE = env.str("EXAMPLE_RATE", "60/minute", validate=check_rate)
LOGIN_RATE = env.str("LOGIN_RATE", "10/5 minutes", validate=check_rate)
LOGIN_NAME_RATE = env.str("LOGIN_NAME_RATE", "50/5 minutes", validate=check_rate)
RATE_LIMIT_URL = env.str("RATE_LIMIT_URL", f"async+{CACHES['default']['LOCATION']}")
RATE_LIMIT_OPTIONS: dict[str, Any] = (
    {"implementation": "redispy", "socket_connect_timeout": 1, "socket_timeout": 1}
    if RATE_LIMIT_URL.startswith("async+redis")
    else {}
)
# No form here is longer; the default is 2.5 MB.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# Nor is any body, files included, and none takes more seconds to arrive. Raise these where the
# admin takes uploads, for a model with a FileField.
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 1024 * 1024, validate=validate.Range(min=1024))
BODY_TIMEOUT = env.float("BODY_TIMEOUT", 30.0, validate=validate.Range(min=1))
# How long one step of smoking or counting takes, in seconds.
STEP_SECONDS = env.float("STEP_SECONDS", 1.0, validate=validate.Range(min=0, max=60))
# The article's pages: anybody's look starts work, and /burn_some_meats/ freezes the event loop on
# purpose, to show what not to do.
SERVE_EXAMPLES = env.bool("SERVE_EXAMPLES", DEBUG)
# Before every amount: a sign, or a code such as EUR.
CURRENCY = env.str("CURRENCY", "$", validate=validate.Length(min=1, max=4))
# Linked from the home page when known.
FLOWER_URL = env.str("FLOWER_URL", "")

# --- Reports and cleanup -------------------------------------------------------------------------

# Customers whose reports one task makes, over one connection to the mail server; and how many such
# tasks are on their way at once.
REPORT_CHUNK = env.int("REPORT_CHUNK", 100, validate=validate.Range(min=1))
REPORT_CHUNKS_AHEAD = env.int("REPORT_CHUNKS_AHEAD", 20, validate=validate.Range(min=1))
# How often a report is mailed that the mail server does not take for now; how long the second time
# waits, in seconds. Each further wait is four times as long: six times take some six hours.
REPORT_TRIES = env.int("REPORT_TRIES", 6, validate=validate.Range(min=1, max=10))
REPORT_RETRY_SECONDS = env.float("REPORT_RETRY_SECONDS", 60.0, validate=validate.Range(min=0))
# For how many days the link in a report's mail opens it.
REPORT_LINK_DAYS = env.int("REPORT_LINK_DAYS", 60, validate=validate.Range(min=1))
# A Maildir with a copy of all mail that the server accepted, if there is one: it tells whether a
# mail was accepted whose worker was killed before it heard so.
MAIL_ARCHIVE = env.str("MAIL_ARCHIVE", "")
# The staff are told of tasks that failed for good when it happens, but by one mail in so many
# minutes at most; 0 for never.
DEAD_LETTER_MINUTES = env.int("DEAD_LETTER_MINUTES", 15, validate=validate.Range(min=0, max=1440))
# After how many days the nightly cleanup removes things.
KEEP_RECEIPTS_DAYS = env.int("KEEP_RECEIPTS_DAYS", 90, validate=validate.Range(min=1))
KEEP_REPORTS_DAYS = env.int("KEEP_REPORTS_DAYS", 800, validate=validate.Range(min=62))
# Of orders only the sums are kept then, without anybody's name: later than the reports on them.
KEEP_ORDERS_DAYS = env.int("KEEP_ORDERS_DAYS", max(1200, KEEP_REPORTS_DAYS + 400))
if KEEP_ORDERS_DAYS < KEEP_REPORTS_DAYS + 400:
    raise ImproperlyConfigured(
        f"KEEP_ORDERS_DAYS is {KEEP_ORDERS_DAYS}: reports need the orders of the year before too,"
        f" so it must be at least KEEP_REPORTS_DAYS + 400, which is {KEEP_REPORTS_DAYS + 400}."
    )
KEEP_DEAD_LETTERS_DAYS = env.int("KEEP_DEAD_LETTERS_DAYS", 30, validate=validate.Range(min=1))
KEEP_CLEANUPS_DAYS = env.int("KEEP_CLEANUPS_DAYS", 90, validate=validate.Range(min=1))

# --- Language, time, static files ----------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
SERVESTATIC_ALLOW_ALL_ORIGINS = False
SERVESTATIC_USE_FINDERS = DEBUG  # in development straight from the apps, without collectstatic
SERVESTATIC_AUTOREFRESH = DEBUG
STATIC_ROOT = BASE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # Not under MEDIA_ROOT: a report is for its customer and the staff only.
    "reports": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": env.str("REPORTS_DIR", str(VAR_DIR / "reports")),
            # A chunk that is repeated writes the same files again.
            "allow_overwrite": True,
        },
    },
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "servestatic.storage.CompressedManifestStaticFilesStorage"
        )
    },
}

# --- Logging -------------------------------------------------------------------------------------

LOG_LEVEL = env.log_level("LOG_LEVEL", logging.INFO)
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "project.request_id.RequestIdFilter"},
        # The relay runs every few seconds; a line for each run would drown the others.
        "quiet_relay": {"()": "hybrid_tasks.relay.log.QuietRelayFilter"},
    },
    "formatters": {
        "line": {
            "()": "project.masking.MaskingFormatter",
            "format": "{asctime} {levelname:<7} {name} [{request_id}] {message}",
            "style": "{",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["request_id", "quiet_relay"],
            "formatter": "line",
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # These come with handlers of their own; without them every process logs the same lines.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
        "uvicorn.access": {"handlers": [], "level": "INFO", "propagate": True},
        # One line a request is the server's job; its own line for each call out would drown ours.
        "httpx": {"level": "WARNING"},
        "psycopg.pool": {"level": "WARNING"},  # two lines for each connection that it lends
    },
}
