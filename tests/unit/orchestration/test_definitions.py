"""What the UI shows and schedules start: keys, groups, jobs, pools. A change here is one that
people notice, so it is made on purpose."""

from __future__ import annotations

import dagster as dg

OURS = {
    "care": {"data_dir_backup"},
    "book": {"book"},
    "close": {
        *("approvals", "close_decisions", "issued_statements", "review_sheet"),
        "statement_reports",
    },
    "collections": {
        *("alert_notices", "reminders", "returned_mail"),
        *("machine_resumptions", "machine_suspensions"),
    },
    "events": {"webhook_deliveries", "webhook_events"},
    "invoicing": {"bank_files", "bank_payments", "payments_received", "xero_invoices"},
    "landing": {"compacted_days", "landed_batches", "landing/readings"},
    "ledger": {"ledger", "ledger_extract"},
    "sites": {"sites/ET-ADD1", "sites/FI-HEL1", "sites/ID-JKT1", "sites/NO-OSL1"},
}
MARTS = {
    *(
        "alerts",
        "assignments",
        "bank_lines",
        "billing_exceptions",
        "billing_kpis",
        "build_info",
        "charges",
        "collections",
    ),
    *("contracts", "customers", "dunning_policies", "dunning_stages", "holidays", "invoices"),
    *(
        "machines",
        "payer_credits",
        "payers",
        "payments",
        "plan_versions",
        "published_marts",
        "remote_marts",
        "sites",
        "tax_rules",
    ),
    *("receivables_aging", "seller_bank_accounts", "sellers", "settings", "statement_lines"),
    *("statements", "usage_daily", "usage_reconciliation", "xero_accounts", "xero_options"),
    *(
        "usage_completeness",
        "usage_estimates",
        "usage_revisions",
        "usage_set_aside",
        "xero_tax_types",
        "xero_tracking",
    ),
    *("disputes", "statement_inputs", "webhook_endpoints"),
    *("adjustments", "line_bands", "line_bases", "line_calculations", "line_days", "line_events"),
    *("credits", "landed_files", "line_machines", "reading_edits", "usage_batches", "usage_units"),
    *("statement_history", "suspended_machines"),
}
PUBLISHED = {"published_marts", "remote_marts"}
JOBS = {
    "approve": {"approvals"},
    "backup": {"data_dir_backup"},
    "bank": {"bank_files"},
    "bounces": {"returned_mail"},
    "build": {
        *("book", "landed_batches", "ledger_extract", "build_context", *PUBLISHED),
        *("alert_notices", "webhook_events"),
    },
    "close": {
        *("book", "landed_batches", "ledger_extract", "build_context", *PUBLISHED),
        *("close_decisions", "review_sheet"),
    },
    "compact": {"compacted_days"},
    "issue": {"issued_statements"},
    "land": {"landing/readings"},
    "payments": {"payments_received"},
    "post_payments": {"bank_payments"},
    "publish": {"xero_invoices"},
    "refresh": {"ledger_extract", "build_context", *PUBLISHED},
    "remind": {"reminders"},
    "resume": {"machine_resumptions"},
    "suspend": {"machine_suspensions"},
    "reports": {"statement_reports"},
    "webhooks": {"webhook_deliveries"},
}
POOLS = {
    "alert_notices": "warehouse",
    "approvals": "warehouse",
    "bank_files": "warehouse",
    "bank_payments": "xero",
    "data_dir_backup": "backup",
    "book": "warehouse",
    "close_decisions": "warehouse",
    "compacted_days": "warehouse",
    "issued_statements": "warehouse",
    "landed_batches": "warehouse",
    "ledger_extract": "warehouse",
    "payments_received": "xero",
    "machine_resumptions": "machines",
    "machine_suspensions": "machines",
    "reminders": "warehouse",
    "returned_mail": "warehouse",
    "statement_lines": "warehouse",
    "webhook_deliveries": "webhooks",
    "webhook_events": "warehouse",
    "xero_invoices": "xero",
}


def _groups(definitions: dg.Definitions) -> dict[str, set[str]]:
    graph = definitions.resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(graph.get(key).group_name, set()).add(key.to_user_string())
    return found


def test_assets_are_in_the_groups_that_people_know(definitions: dg.Definitions) -> None:
    groups = _groups(definitions)
    assert {name: groups[name] for name in OURS} == OURS
    assert set(groups) == {*OURS, "staging", "metering", "rating", "billing", "marts"}


def test_marts_are_those_that_are_promised(definitions: dg.Definitions) -> None:
    assert _groups(definitions)["marts"] >= MARTS


def test_models_are_in_the_group_of_their_area(definitions: dg.Definitions) -> None:
    groups = _groups(definitions)
    for area in ("metering", "rating", "billing"):
        assert groups[area]
        assert {name.split("__")[0] for name in groups[area]} == {f"int_{area}"}


def test_jobs_run_what_their_name_says(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    models = {
        key.to_user_string()
        for key in definitions.resolve_asset_graph().get_all_asset_keys()
        if key.path[-1].startswith(("stg_", "int_"))
    }
    found = {}
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            keys = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
            found[job.name] = keys - models - (MARTS - PUBLISHED) - {"units"}
    assert found == JOBS


def test_a_refresh_does_not_read_usage_again(definitions: dg.Definitions) -> None:
    refresh = definitions.resolve_job_def("refresh").asset_layer.selected_asset_keys
    names = {key.to_user_string() for key in refresh}
    assert "statements" in names
    assert not [name for name in names if name.startswith(("int_metering", "stg_"))]


def test_one_at_a_time_writes_the_warehouse_and_talks_to_xero(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {
        key.to_user_string(): pool
        for key in graph.materializable_asset_keys
        for pool in graph.get(key).pools or ()
    }
    assert {name: found.get(name) for name in POOLS} == POOLS
    assert set(found.values()) == {"backup", "machines", "warehouse", "webhooks", "xero"}


def test_schedules_are_delivered_switched_off(definitions: dg.Definitions) -> None:
    schedules = definitions.get_repository_def().schedule_defs
    assert {s.name: (s.cron_schedule, s.job_name, s.execution_timezone) for s in schedules} == {
        "nightly_landing": ("30 1 * * *", "land", "UTC"),
        "nightly_build": ("0 4 * * *", "build", "UTC"),
        "monthly_close": ("0 6 * * *", "close", "UTC"),
        "hourly_payments": ("15 * * * *", "payments", "UTC"),
        "hourly_bank": ("45 * * * *", "bank", "UTC"),
        "hourly_bounces": ("50 * * * *", "bounces", "UTC"),
        "daily_reminders": ("0 8 * * *", "remind", "UTC"),
        "daily_suspensions": ("0 9 * * *", "suspend", "UTC"),
        "hourly_resumptions": ("30 * * * *", "resume", "UTC"),
        "frequent_webhooks": ("*/5 * * * *", "webhooks", "UTC"),
        "nightly_backup": ("0 5 * * *", "backup", "UTC"),
    }
    assert {s.default_status for s in schedules} == {dg.DefaultScheduleStatus.STOPPED}


def test_sensors_are_delivered_switched_on(definitions: dg.Definitions) -> None:
    sensors = definitions.get_repository_def().sensor_defs
    assert {s.name: s.default_status for s in sensors} == {
        "alert_on_failure": dg.DefaultSensorStatus.RUNNING,
        "end_runs_whose_process_is_gone": dg.DefaultSensorStatus.RUNNING,
        "payments_when_xero_calls": dg.DefaultSensorStatus.RUNNING,
        "refresh_marts_after_money": dg.DefaultSensorStatus.RUNNING,
    }


def test_everything_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
