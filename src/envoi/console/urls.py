"""Addresses of the console's own pages, then those that packages bring."""

from functools import partial

from django.urls import include, path

from envoi.console import (
    account,
    accounts,
    administration,
    decisions,
    enumerations,
    explorer,
    home,
    indicators,
    monitoring,
    search,
    second_factor,
    sign_in,
    workflow_bulk,
    workflow_commands,
    workflow_copies,
    workflow_list,
    workflow_page,
    workflow_properties,
)
from envoi.console.conditions import urls as conditions
from envoi.console.hooks import pages
from envoi.console.records import urls as records

own = [
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
    path("decisions/", decisions.decisions, name="decisions"),
    path("decisions/<int:number>", decisions.decision, name="decision"),
    path("decisions/<int:number>/withdraw", decisions.withdraw, name="decision-withdraw"),
    path("approve/<str:token>", decisions.by_link, name="approve"),
    path("search", search.search, name="search"),
    path("monitoring/", monitoring.monitoring, name="monitoring"),
    path("monitoring/indicators", indicators.indicators, name="indicators"),
    path("monitoring/indicators/new", indicators.new_indicator, name="new-indicator"),
    path("monitoring/indicators/of/<str:name>", indicators.indicator, name="indicator"),
    path("monitoring/mail", monitoring.system_mail, name="system-mail"),
    path("monitoring/mail/again", monitoring.send_all_again, name="send-all-again"),
    path("monitoring/mail/<int:number>", monitoring.send_again, name="send-again"),
    path("workflows/", workflow_list.workflows, name="workflows"),
    path("selected-workflows", workflow_bulk.selected, name="selected-workflows"),
    path("workflows/<str:name>", workflow_page.workflow, name="workflow"),
    path("workflows/<str:name>/diagram.svg", workflow_page.export, name="workflow-diagram"),
    path(
        "workflows/<str:name>/rows/<str:activity>/<str:transition>", workflow_page.rows, name="workflow-rows"
    ),
    path("workflows/<str:name>/properties", workflow_properties.properties, name="workflow-properties"),
    path("workflows/<str:name>/copy", workflow_copies.copy, name="workflow-copy"),
    path("workflows/<str:name>/results", workflow_copies.results, name="workflow-results"),
    path("workflows/<str:name>/<slug:slug>", workflow_commands.command, name="workflow-command"),
    path("explorer/", explorer.root, name="explorer"),
    path("explorer/<path:path>/", explorer.folder, name="folder"),
    path("options", partial(explorer.first_of, schema="xtk:option"), name="options"),
    path("options/<str:name>", administration.option_page, name="option"),
    path("operators", partial(explorer.first_of, schema="xtk:operator"), name="operators"),
    path("operators/new", administration.new_operator, name="new-operator"),
    path("operators/<str:name>", administration.operator_page, name="operator"),
    path("operators/<str:name>/disabled", administration.disable_operator, name="disable-operator"),
    path("groups", partial(explorer.first_of, schema="xtk:opGroup"), name="groups"),
    path("groups/new", administration.new_group, name="new-group"),
    path("groups/<str:name>", administration.group_page, name="group"),
    path("enumerations", partial(explorer.first_of, schema="xtk:enum"), name="enumerations"),
    path("enumerations/<str:name>", enumerations.enumeration_page, name="enumeration"),
    path("new-enumeration", enumerations.new_enumeration, name="new-enumeration"),
    path("external-accounts", partial(explorer.first_of, schema="nms:extAccount"), name="external-accounts"),
    path("external-accounts/<str:name>", accounts.account_page, name="external-account"),
    path("external-accounts/<str:name>/test", accounts.test_account, name="test-external-account"),
    path("external-accounts/<str:name>/delete", accounts.delete_account, name="delete-external-account"),
    path("new-external-account", accounts.new_account, name="new-external-account"),
    path("audit", partial(explorer.first_of, schema="xtk:auditTrail"), name="audit"),
    *conditions.urlpatterns,
    *records.urlpatterns,
]
urlpatterns = [
    path("", include((own, "console"))),
    *(pattern for answer in pages.ask() for pattern in answer.urls),
]
