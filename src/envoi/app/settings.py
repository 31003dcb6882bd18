"""Django's settings, made from the booted instance; nothing here is set by hand."""

import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from envoi.app import boot
from envoi.kernel.secrets import instance_key

INSTANCE = boot.current()
CONFIG = INSTANCE.config
ENVOI = INSTANCE

DEBUG = False
SECRET_KEY = instance_key(INSTANCE.home, purpose="django").hex()
ALLOWED_HOSTS = list(CONFIG.web.allowed_hosts)
CSRF_TRUSTED_ORIGINS = [CONFIG.web.public_url] if CONFIG.web.public_url else []

PACKAGES = [point for point in entry_points(group="envoi.packages") if point.name in INSTANCE.packages]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "procrastinate.contrib.django",
    "envoi.kernel",
    "envoi.engine",
    "envoi.web",
    "envoi.console",
    *(f"{point.module}.{point.attr}" for point in PACKAGES),
]


def _rooms(name: str) -> list[Path]:
    """Return the folders `console/<name>` of the installed packages, which bring their pages in them."""
    specs = (find_spec(point.module) for point in PACKAGES)
    places = (Path(spec.origin).parent / "console" / name for spec in specs if spec and spec.origin)
    return [place for place in places if place.is_dir()]


MIDDLEWARE = [
    "envoi.web.probes.Probes",
    *(["envoi.web.tracing.Trace"] if CONFIG.telemetry.endpoint else []),
    "envoi.web.metrics.Measure",
    "envoi.web.limits.BodyLimit",
    "django.middleware.security.SecurityMiddleware",
    "envoi.web.static.StaticFiles",
    "envoi.web.security.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "envoi.console.middleware.OperatorMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "envoi.app.urls"
WSGI_APPLICATION = "envoi.app.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "DIRS": _rooms("templates"),
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "envoi.console.context.shell",
            ],
        },
    }
]

# Crash rules of the database path (architecture §2.3): SQL of a killed client must not go on and commit.
CONNECTION_OPTIONS = (
    "-c client_connection_check_interval=2000 -c idle_in_transaction_session_timeout=600000"
    " -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c timezone=UTC"
)
_ASKED = INSTANCE.lease.connection() if INSTANCE.lease else {"dbname": "none", "host": "/nonexistent"}
_APART = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **{_APART[name]: value for name, value in _ASKED.items() if name in _APART},
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 10,
            "application_name": os.environ.get("ENVOI_PROCESS", "envoi"),
            **{name: value for name, value in _ASKED.items() if name not in _APART},
            # Ours come last: of two settings of one name, the later holds.
            "options": f"{_ASKED.get('options', '')} {CONNECTION_OPTIONS}".strip(),
        },
        "TEST": {"NAME": None},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "kernel.Operator"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "console:sign-in"
LOGIN_REDIRECT_URL = "/"
OTP_TOTP_ISSUER = f"Envoi {CONFIG.instance.name}"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours: 15 minutes
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_LOCKOUT_CALLABLE = "envoi.console.sign_in.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "envoi.console.sign_in.client_address"
# What was typed into these fields is kept with no failed try.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "token", "old", "new"]

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "envoi_session"
SESSION_COOKIE_AGE = CONFIG.web.session_hours * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIG.web.https
CSRF_COOKIE_NAME = "envoi_csrf"
CSRF_FAILURE_VIEW = "envoi.console.failures.csrf"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CONFIG.web.https else None
SECURE_HSTS_SECONDS = 31_536_000 if CONFIG.web.https else 0
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = CONFIG.instance.language
LANGUAGES = [
    ("en", "English"),
    ("fr", "Français"),
    ("sv", "Svenska"),
    ("ko", "한국어"),
    ("zh-hant", "繁體中文"),
]
LANGUAGE_COOKIE_NAME = "envoi_language"
LANGUAGE_COOKIE_SAMESITE = "Lax"

STATIC_URL = "/static/"
STATIC_ROOT = INSTANCE.home / "static"
STATICFILES_DIRS = _rooms("static")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "envoi.web.static.HashedStaticFiles"},
}
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = INSTANCE.home / "files"
SOURCE = Path(__file__).resolve().parent.parent

LOGGING_CONFIG = None
PROCRASTINATE_ON_APP_READY = None
SILENCED_SYSTEM_CHECKS = ["axes.W003"]
