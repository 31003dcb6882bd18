"""Addresses of delivery."""

from django.urls import path

from envoi.packages.delivery.console import (
    content,
    deliveries,
    delivery_approvals,
    delivery_logs,
    delivery_sending,
    delivery_target,
    extraction,
    imports,
    lists,
    profile,
    proofs,
    services,
    suppression,
)

app_name = "delivery"
urlpatterns = [
    path("deliveries", deliveries.first, name="deliveries"),
    path("deliveries/<int:number>", deliveries.page, name="delivery"),
    path("deliveries/<int:number>/ask/<slug:command>", deliveries.ask, name="delivery-ask"),
    path("deliveries/<int:number>/failures", deliveries.failures, name="delivery-failures"),
    path("deliveries/<int:number>/logs", delivery_logs.page, name="delivery-logs"),
    path("deliveries/<int:number>/logs.csv", delivery_logs.export, name="delivery-logs-csv"),
    path("deliveries/<int:number>/exclusions", delivery_logs.exclusions, name="delivery-exclusions"),
    path("deliveries/<int:number>/audit", delivery_logs.trail, name="delivery-audit"),
    path("deliveries/<int:number>/target", delivery_target.page, name="delivery-target"),
    path("deliveries/<int:number>/content", content.page, name="delivery-content"),
    path("deliveries/<int:number>/preview", content.show, name="delivery-preview"),
    path("deliveries/<int:number>/sending", delivery_sending.page, name="delivery-sending"),
    path("deliveries/<int:number>/approval", delivery_approvals.page, name="delivery-approval"),
    path("deliveries/<int:number>/proofs", proofs.page, name="delivery-proofs"),
    path("deliveries/<int:number>/file", extraction.page, name="delivery-extraction"),
    path("deliveries/<int:number>/file/download", extraction.download, name="delivery-extraction-file"),
    path("recipients", profile.first, name="recipients"),
    path("recipients/<int:number>", profile.profile, name="recipient"),
    path("recipients/<int:number>/merge", profile.merge, name="merge-recipient"),
    path("lists", lists.first, name="lists"),
    path("lists/<int:number>", lists.page, name="list"),
    path("services", services.first, name="services"),
    path("services/<int:number>", services.page, name="service"),
    path("suppression-list", suppression.first, name="suppression"),
    path("imports", imports.first, name="imports"),
    path("imports/<int:number>", imports.page, name="import"),
    path("imports/<int:number>/rejects.csv", imports.side_file, name="import-rejects"),
]
