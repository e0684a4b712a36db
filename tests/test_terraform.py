"""Tests of a stage's deployment with Terraform, the provider and checkov. They deploy nothing."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from chalicelib import batch, index
from checkov_skips import SKIPS, noted_skips
from hypothesis import example, given
from hypothesis import strategies as st
from ministack.core.iam_evaluator import evaluate_resource_policy
from processes import ROOT
from roots import ACCOUNT, BY_DYNAMODB, BY_LAMBDA, FUNCTION, KEY, LOG, NEEDS_TERRAFORM, REGION, STAGES
from roots import copied_project, make, planned, request, run
from tools import programs

pytestmark = NEEDS_TERRAFORM

PACKAGED, SETTINGS = "dev", "-var-file=tests/settings.tfvars"


@pytest.fixture(scope="session", name="roots")
def _roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an initialised copy of the stages' root for each stage, with that stage's package."""
    project = copied_project(tmp_path_factory.mktemp("project") / "project")
    make(project, "package", f"STAGE={PACKAGED}")
    roots = {PACKAGED: project / "terraform"}
    run("terraform", "init", "-backend=false", "-input=false", cwd=roots[PACKAGED])
    for stage in STAGES:
        if stage != PACKAGED:
            roots[stage] = shutil.copytree(roots[PACKAGED], tmp_path_factory.mktemp(stage) / "terraform")
            generated = roots[stage] / "chalice.tf.json"
            text = generated.read_text(encoding="utf-8").replace(f"event-api-{PACKAGED}", f"event-api-{stage}")
            packaged = json.loads(text)
            packaged["locals"]["packaged_stage"] = stage
            generated.write_text(json.dumps(packaged), encoding="utf-8")
    return roots


@pytest.fixture(scope="session", name="root")
def _root(roots: dict[str, Path]) -> Path:
    """Return the copy for the packaged stage."""
    return roots[PACKAGED]


@pytest.fixture(scope="session", name="stage_plan")
def _stage_plan(root: Path) -> dict[str, Any]:
    """Return the plan of the real provider for a stage with every optional part."""
    return planned(root, SETTINGS, "-filter=tests/rendered.tftest.hcl")["the_provider_takes_it_all"]


def test_terraform_is_formatted() -> None:
    """Every Terraform file has Terraform's own format. Only the stages' tfvars may differ."""
    result = run("terraform", "fmt", "-check", "-recursive", "-list=true", cwd=ROOT / "terraform", check=False)
    assert result.returncode in (0, 3), result.stderr
    assert [path for path in result.stdout.splitlines() if not path.startswith("stages/")] == []


def test_root_is_valid(root: Path) -> None:
    """Terraform and the provider accept the root without a warning."""
    result = json.loads(run("terraform", "validate", "-json", cwd=root).stdout)
    assert (result["valid"], result["diagnostics"]) == (True, [])


def test_validate_in_a_fresh_clone_names_the_missing_step(tmp_path: Path) -> None:
    """Without a package, each error of Terraform shows a line that tells the reader to run `make package`."""
    clone = copied_project(tmp_path / "project") / "terraform"
    run("terraform", "init", "-backend=false", "-input=false", cwd=clone)
    result = run("terraform", "validate", "-json", cwd=clone, check=False)
    lines = [fault["snippet"]["code"] for fault in json.loads(result.stdout)["diagnostics"]]
    assert lines
    assert [line for line in lines if "Run `make package STAGE=dev` first." not in line] == []


def test_root_passes_its_terraform_tests(root: Path) -> None:
    """Terraform's own tests of the stages' root pass."""
    others = sorted(path for path in (root / "tests").glob("*.tftest.hcl") if path.name.split(".")[0] not in ELSEWHERE)
    assert len(others) > 5
    run("terraform", "test", SETTINGS, *(f"-filter=tests/{path.name}" for path in others), cwd=root)


ELSEWHERE = ("rendered", "stages")  # other tests in this file run these Terraform tests


@pytest.mark.parametrize("stage", STAGES)
def test_stage_plan_has_the_values_of_its_tfvars(roots: dict[str, Path], stage: str) -> None:
    """Each stage's tfvars are valid, and the plan has their values."""
    tfvars = ROOT / "terraform" / "stages" / f"{stage}.tfvars"
    run("terraform", "test", f"-var-file={tfvars}", "-filter=tests/stages.tftest.hcl", cwd=roots[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_stage_has_its_own_locked_state(stage: str) -> None:
    """Each stage has its own state file in the bucket. The file is encrypted and has a lock."""
    backend = (ROOT / "terraform" / "stages" / f"{stage}.s3.tfbackend").read_text(encoding="utf-8")
    assert {tuple(part.strip() for part in line.split("=")) for line in backend.splitlines()} == {
        ("key", f'"event-api/{stage}.tfstate"'),
        ("encrypt", "true"),
        ("use_lockfile", "true"),
    }


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
WIDGETS = {
    "alarm": {"title", "alarms", "sortBy", "states"},
    "log": {"title", "query", "region", "view"},
    "metric": {"title", "metrics", "region", "view", "stat", "period", "yAxis", "annotations"},
}


def test_widgets_have_only_properties_of_their_type(stage_plan: dict[str, Any]) -> None:
    """AWS documents each property that a widget of the dashboard has. Widgets with data name their region."""
    widgets = json.loads(stage_plan["aws_cloudwatch_dashboard.this[0]"]["dashboard_body"])["widgets"]
    assert {widget["type"] for widget in widgets} == set(WIDGETS)
    assert [widget for widget in widgets if set(widget["properties"]) - WIDGETS[widget["type"]]] == []
    without_region = {widget["type"] for widget in widgets if "region" not in widget["properties"]}
    assert without_region == {"alarm"}


def test_only_one_alarm_looks_at_the_largest_value(stage_plan: dict[str, Any]) -> None:
    """A count is a sum, a duration is a percentile. The alarm on altered events is a maximum: nobody can lower it."""
    alarms = {name: alarm for name, alarm in stage_plan.items() if name.startswith("aws_cloudwatch_metric_alarm.")}
    found = {name.split('"')[1]: alarm["statistic"] or alarm["extended_statistic"] for name, alarm in alarms.items()}
    others = {name: "p99" if name.endswith("-slow") else "Sum" for name in found}
    assert found == others | {"altered": "Maximum"}


# A lost state is no problem for these: AWS sets the existing one again, or accepts a second one.
CREATED_AGAIN = {
    "aws_api_gateway_deployment", "aws_api_gateway_method_settings", "aws_appautoscaling_policy",
    "aws_appautoscaling_target", "aws_cloudwatch_composite_alarm", "aws_cloudwatch_dashboard",
    "aws_cloudwatch_log_metric_filter", "aws_cloudwatch_log_resource_policy", "aws_cloudwatch_metric_alarm",
    "aws_dynamodb_resource_policy", "aws_lambda_permission", "aws_sns_topic_subscription",
    "aws_wafv2_web_acl_association", "aws_wafv2_web_acl_logging_configuration",
}  # fmt: skip


def test_lost_state_is_imported(stage_plan: dict[str, Any]) -> None:
    """After a lost state, docs/incidents.md imports each resource that Terraform cannot create a second time."""
    text = (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8")
    imported = set(re.findall(r"^  import '?([^' ]+)'? \S+$", text, re.M))
    planned_ones = {address for address in stage_plan if not address.startswith("data.")}
    unique = {address for address in planned_ones if address.split(".")[0] not in CREATED_AGAIN}
    assert unique == imported


def test_table_has_the_indexes_of_the_app(stage_plan: dict[str, Any]) -> None:
    """Terraform's table has the keys and the indexes that the app uses."""
    table = stage_plan['aws_dynamodb_table.events["events"]']
    assert (table["hash_key"], table["range_key"]) == ("pk", None)
    indexes = {
        found["name"]: (found["hash_key"], found["range_key"], tuple(found["non_key_attributes"] or ()))
        for found in table["global_secondary_index"]
    }
    assert indexes == {name: (name, index.POSITION, index.PROJECTED[name]) for name in index.INDEXES}


# The stage's own key.

ROLE, STRANGER = f"arn:aws:sts::{ACCOUNT}:assumed-role/any/run", "arn:aws:sts::210987654321:assumed-role/any/run"
TABLE_OF, FUNCTION_OF, LOG_OF = (
    f"kms:EncryptionContext:aws:{what}" for what in ("dynamodb:tableName", "lambda:FunctionArn", "logs:arn")
)
OF_EVENTS, OF_TOKENS = {TABLE_OF: "event-api-dev-events"}, {TABLE_OF: "event-api-dev-tokens"}
OF_FUNCTION, OF_LOG = {FUNCTION_OF: FUNCTION}, {LOG_OF: LOG}
TOPIC_OF = "kms:EncryptionContext:aws:sns:topicArn"
OF_ALARMS = {TOPIC_OF: f"arn:aws:sns:{REGION}:{ACCOUNT}:event-api-dev-alarms"}
BY_ALARMS = "cloudwatch.amazonaws.com"
BY_LOGS, BY_OTHER_LOGS = f"logs.{REGION}.amazonaws.com", "logs.us-east-1.amazonaws.com"
HERE = {"kms:CallerAccount": ACCOUNT}


def key_allows(
    stage_plan: dict[str, Any], caller: str, action: str, context: dict[str, str], service: str | None = None
) -> bool:
    """Tell whether the key's policy allows an action to a caller or to an AWS service."""
    document = stage_plan["aws_kms_key.this[0]"]["policy"]
    return evaluate_resource_policy(document, request(action, KEY, context, caller), service).decision == "Allow"


@pytest.mark.parametrize(
    ("caller", "action", "context", "service"),
    [
        (ROLE, "kms:Decrypt", HERE | BY_DYNAMODB | OF_EVENTS, None),
        (ROLE, "kms:GenerateDataKey", HERE | BY_DYNAMODB | OF_TOKENS, None),
        (ROLE, "kms:Decrypt", HERE | BY_DYNAMODB | {TABLE_OF: "event-api-dev-events-restored"}, None),
        (ROLE, "kms:DescribeKey", HERE | BY_DYNAMODB, None),
        (ROLE, "kms:CreateGrant", HERE | BY_DYNAMODB | {"kms:GrantIsForAWSResource": "true"}, None),
        (ROLE, "kms:CreateGrant", HERE | BY_LAMBDA | {"kms:GrantIsForAWSResource": "true"}, None),
        (ROLE, "kms:Decrypt", HERE | OF_FUNCTION, None),
        (ROLE, "kms:Encrypt", HERE | BY_LAMBDA | OF_FUNCTION, None),
        ("", "kms:Decrypt", OF_LOG, BY_LOGS),
        ("", "kms:GenerateDataKeyWithoutPlaintext", OF_LOG, BY_LOGS),
        ("", "kms:Decrypt", OF_ALARMS, BY_ALARMS),
        ("", "kms:GenerateDataKey", OF_ALARMS, BY_ALARMS),
        (ROLE, "kms:PutKeyPolicy", HERE, None),
        (ROLE, "kms:ScheduleKeyDeletion", HERE, None),
    ],
)
def test_key_can_be_used_for_its_stage(
    stage_plan: dict[str, Any], caller: str, action: str, context: dict[str, str], service: str | None
) -> None:
    """DynamoDB can use the key for both tables, Lambda for both functions, and CloudWatch for the logs."""
    assert key_allows(stage_plan, caller, action, context, service)


@pytest.mark.parametrize(
    ("caller", "action", "context", "service"),
    [
        (ROLE, "kms:Decrypt", HERE, None),
        (ROLE, "kms:Decrypt", HERE | OF_EVENTS, None),
        (ROLE, "kms:Decrypt", HERE | BY_DYNAMODB, None),
        (ROLE, "kms:Decrypt", HERE | BY_DYNAMODB | {TABLE_OF: "payroll"}, None),
        (ROLE, "kms:Decrypt", HERE | OF_EVENTS | {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}, None),
        (ROLE, "kms:Decrypt", HERE | {FUNCTION_OF: f"{FUNCTION}-other"}, None),
        (ROLE, "kms:GenerateDataKey", HERE | OF_FUNCTION, None),
        (ROLE, "kms:CreateGrant", HERE | BY_DYNAMODB, None),
        (ROLE, "kms:CreateGrant", HERE | {"kms:GrantIsForAWSResource": "true"}, None),
        (ROLE, "kms:ReplicateKey", HERE, None),
        (ROLE, "kms:ImportKeyMaterial", HERE, None),
        (STRANGER, "kms:Decrypt", {"kms:CallerAccount": "210987654321"} | BY_DYNAMODB | OF_EVENTS, None),
        (STRANGER, "kms:DescribeKey", {"kms:CallerAccount": "210987654321"} | BY_DYNAMODB, None),
        (STRANGER, "kms:PutKeyPolicy", {"kms:CallerAccount": "210987654321"}, None),
        ("", "kms:Decrypt", {LOG_OF: f"{LOG}-other"}, BY_LOGS),
        ("", "kms:Decrypt", {}, BY_LOGS),
        ("", "kms:Decrypt", OF_LOG, BY_OTHER_LOGS),
        ("", "kms:CreateGrant", OF_LOG, BY_LOGS),
        ("", "kms:GenerateDataKey", {TOPIC_OF: f"arn:aws:sns:{REGION}:{ACCOUNT}:payroll"}, BY_ALARMS),
        ("", "kms:GenerateDataKey", {}, BY_ALARMS),
        ("", "kms:Decrypt", HERE | OF_FUNCTION, "lambda.amazonaws.com"),
    ],
)
def test_key_cannot_be_used_for_anything_else(
    stage_plan: dict[str, Any], caller: str, action: str, context: dict[str, str], service: str | None
) -> None:
    """Nobody can use the key directly, for another table, log or function, or from another account."""
    assert not key_allows(stage_plan, caller, action, context, service)


# The policy of a protected stage's events.

EVENTS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/event-api-dev-events"
FUNCTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-api_handler"
OTHERS = [
    f"arn:aws:iam::{ACCOUNT}:root",
    f"arn:aws:iam::{ACCOUNT}:role/administrator",
    f"arn:aws:iam::{ACCOUNT}:role/event-api-dev-authorizer",
    f"arn:aws:iam::{ACCOUNT}:user/event-api-dev-api_handler",
    "arn:aws:iam::210987654321:role/event-api-dev-api_handler",
]
CHANGES = ["UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"]


def table_denies(stage_plan: dict[str, Any], caller: str, action: str, **context: str) -> bool:
    """Tell whether the policy of the table of events denies an action to a caller."""
    document = stage_plan['aws_dynamodb_resource_policy.events["events"]']["policy"]
    call = request(f"dynamodb:{action}", EVENTS, context, caller)
    return evaluate_resource_policy(document, call).decision == "Deny"


@pytest.mark.parametrize("caller", [FUNCTION_ROLE, *OTHERS])
@pytest.mark.parametrize("action", CHANGES)
def test_nobody_changes_an_event(stage_plan: dict[str, Any], caller: str, action: str) -> None:
    """The table's policy denies every change of an event to everybody, the function too."""
    assert table_denies(stage_plan, caller, action)


@pytest.mark.parametrize("caller", OTHERS)
def test_only_the_function_stores_events(stage_plan: dict[str, Any], caller: str) -> None:
    """The table's policy denies PutItem to everybody but the function's role."""
    assert table_denies(stage_plan, caller, "PutItem")
    assert not table_denies(stage_plan, FUNCTION_ROLE, "PutItem")


@pytest.mark.parametrize(
    "action",
    [
        "GetItem", "BatchGetItem", "Query", "Scan", "PutResourcePolicy", "DeleteResourcePolicy", "UpdateTable",
        "DeleteTable", "RestoreTableToPointInTime", "StartAwsBackupJob", "ExportTableToPointInTime",
    ],
)  # fmt: skip
def test_table_policy_locks_no_administrator_out(stage_plan: dict[str, Any], action: str) -> None:
    """The table's policy denies neither reading, nor backups, nor removing the policy or the table."""
    assert not [caller for caller in OTHERS if table_denies(stage_plan, caller, action)]


def test_table_policy_lets_aws_delete_expired_events(stage_plan: dict[str, Any]) -> None:
    """The table's policy does not apply to AWS's own services."""
    by_aws = {"aws:PrincipalIsAWSService": "true"}
    assert not table_denies(stage_plan, "arn:aws:iam::999999999999:root", "DeleteItem", **by_aws)


# The alarms.


def test_runbook_has_a_section_for_each_alarm(stage_plan: dict[str, Any]) -> None:
    """Each alarm is in the runbook's table, with the section that its description names. No other section exists."""
    alarms = [planned for address, planned in stage_plan.items() if re.match(r"aws_cloudwatch_\w+_alarm\.", address)]
    assert len(alarms) > 20  # the stage has a firewall
    described = {
        alarm["alarm_name"].removeprefix(f"event-api-{PACKAGED}-"): alarm["alarm_description"].partition("#")[2]
        for alarm in alarms
    }
    assert {alarm["alarm_description"].partition("#")[0][-24:] for alarm in alarms} == {"Runbook: docs/runbook.md"}
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|.*\[([a-z0-9-]+)\]\(#\2\) \|$", page, re.M)
    assert dict(rows) == described
    assert len(rows) == len(described)
    assert sorted(re.findall(r"^## ([a-z0-9-]+)$", page, re.M)) == sorted(set(described.values()))


def test_runbook_says_which_group_sends_the_message(stage_plan: dict[str, Any]) -> None:
    """The runbook's table has the group of each alarm."""
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for name in ("store", "failing", "refused"):
        rule = stage_plan[f"aws_cloudwatch_composite_alarm.{name}[0]"]["alarm_rule"]
        members = re.findall(rf"ALARM\(event-api-{PACKAGED}-([a-z0-9-]+)\)", rule)
        assert sorted(re.findall(rf"^\| `([a-z0-9-]+)` \| `{name}` \|", page, re.M)) == sorted(members)


# The firewall.


@pytest.fixture(scope="session", name="too_long")
def _too_long(stage_plan: dict[str, Any]) -> dict[str, Any]:
    """Return the firewall's rule for the length of a body."""
    rules = stage_plan["aws_wafv2_web_acl.this[0]"]["rule"]
    (rule,) = [rule for rule in rules if rule["name"] == "body-too-large"]
    return rule


@given(
    length=st.integers(0, 10**8) | st.integers(batch.MAX_BATCH_BYTES - 10, batch.MAX_BATCH_BYTES + 10),
    zeros=st.integers(0, 3),
)
@example(length=batch.MAX_BATCH_BYTES, zeros=0)
@example(length=batch.MAX_BATCH_BYTES + 1, zeros=0)
def test_firewall_blocks_only_bodies_over_the_limit(too_long: dict[str, Any], length: int, zeros: int) -> None:
    """The firewall blocks a request only if its Content-Length is over the API's limit of a batch."""
    expression = too_long["statement"][0]["regex_match_statement"][0]["regex_string"]
    refused = re.search(expression, "0" * zeros + str(length)) is not None
    assert refused == (length > batch.MAX_BATCH_BYTES)
    assert len(expression) <= 512  # the limit of WAF


def test_firewall_response_equals_the_response_of_the_api(stage_plan: dict[str, Any], too_long: dict[str, Any]) -> None:
    """The firewall's response to a large body equals the API's response. WAF cannot set some headers and the id."""
    expected = batch.too_large()
    (response,) = too_long["action"][0]["block"][0]["custom_response"]
    (body,) = stage_plan["aws_wafv2_web_acl.this[0]"]["custom_response_body"]
    assert (response["response_code"], response["custom_response_body_key"]) == (expected.status, body["key"])
    assert json.loads(body["content"]) == expected.body(None)
    headers = {header["name"]: header["value"] for header in response["response_header"]}
    assert headers.pop("Access-Control-Allow-Origin") == "*"  # the plan allows another origin
    assert headers.items() <= expected.headers.items()


@pytest.fixture(scope="session", name="checkov")
def _checkov() -> Path:
    """Return checkov's program."""
    return programs("checkov") / "checkov"


def test_checkov_passes_and_each_skip_has_a_reason(checkov: Path, root: Path) -> None:
    """Every check passes or has a skip at its resource with a reason. Each skip is needed and is in SKIPS."""
    command = [checkov, "--directory", root, "--framework", "terraform", "terraform_json", "--skip-download"]
    reports = json.loads(run(*command, "--output", "json", cwd=root, check=False).stdout)
    results = {report["check_type"]: report["results"] for report in reports}
    assert set(results) == {"terraform", "terraform_json"}
    assert [(check["check_id"], check["resource"]) for check in results["terraform"]["failed_checks"]] == []
    assert not any(result["parsing_errors"] for result in results.values())

    skips = noted_skips(root / "chalice.tf.json")
    failed = {
        ((check["file_path"].lstrip("/"), check["resource"].split(".")[-1]), check["check_id"])
        for check in results["terraform_json"]["failed_checks"]
    }
    assert failed == {(place, check) for place, checks in skips.items() for check in checks}
    for check in results["terraform"]["skipped_checks"]:
        place = check["file_path"].lstrip("/"), check["resource"]
        skips.setdefault(place, {})[check["check_id"]] = check["check_result"]["suppress_comment"]
    assert {place: set(reasons) for place, reasons in skips.items()} == SKIPS
    assert not [
        (place, check)
        for place, reasons in skips.items()
        for check, reason in reasons.items()
        if len(reason.split()) < 4
    ]
