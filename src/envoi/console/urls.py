"""Addresses of the console's own pages."""

from django.urls import path

from envoi.console import account, home, search, second_factor, sign_in

app_name = "console"
urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("language", sign_in.language, name="language"),
    path("account", account.account, name="account"),
    path("account/preferences", account.preferences, name="preferences"),
    path("account/password", account.password, name="password"),
    path("account/sessions/end", account.end_sessions, name="end-sessions"),
    path("account/authenticator", second_factor.enrol, name="second-factor"),
    path("account/authenticator/off", second_factor.disable, name="second-factor-off"),
    path("search", search.search, name="search"),
]
