"""The checks of checkov that the project skips, and where the reasons are."""

import json
from pathlib import Path

# The skipped checks of checkov. A comment at each resource gives the reason.
SKIPS = {
    ("stage.tf", "aws_api_gateway_stage.this"): {
        "CKV_AWS_120", "CKV2_AWS_4", "CKV2_AWS_29", "CKV2_AWS_51", "CKV2_AWS_77",
    },
    ("stage.tf", "aws_api_gateway_method_settings.this"): {"CKV_AWS_225", "CKV_AWS_308"},
    ("stage.tf", "aws_api_gateway_method_settings.write"): {"CKV_AWS_225", "CKV_AWS_308"},
    ("table.tf", 'aws_dynamodb_table.events["events"]'): {"CKV_AWS_119"},
    ("table.tf", "aws_dynamodb_table.tokens"): {"CKV_AWS_119"},
    ("logs.tf", "aws_cloudwatch_log_group.api_handler"): {"CKV_AWS_158", "CKV_AWS_338"},
    ("logs.tf", "aws_cloudwatch_log_group.authorizer"): {"CKV_AWS_158", "CKV_AWS_338"},
    ("logs.tf", "aws_cloudwatch_log_group.access"): {"CKV_AWS_158", "CKV_AWS_338"},
    ("waf.tf", "aws_wafv2_web_acl.this[0]"): {"CKV_AWS_192"},
    ("waf.tf", "aws_cloudwatch_log_group.firewall[0]"): {"CKV_AWS_158", "CKV_AWS_338"},
    ("key.tf", "aws_iam_policy_document.key"): {"CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_283", "CKV_AWS_356"},
    ("oidc/state.tf", "aws_s3_bucket.state"): {"CKV_AWS_18", "CKV_AWS_144", "CKV_AWS_145", "CKV2_AWS_62"},
    ("oidc/provider_github.tf", "aws_iam_policy_document.trust"): {"CKV_AWS_358"},
    ("oidc/function_role.tf", "aws_iam_policy_document.function"): {"CKV_AWS_111", "CKV_AWS_356"},
    ("oidc/deploy_role.tf", "aws_iam_policy_document.deploy"): {"CKV_AWS_356"},
    ("oidc/deploy_edge.tf", "aws_iam_policy_document.deploy_edge"): {"CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_356"},
    ("oidc/deploy_boundary.tf", "aws_iam_policy_document.deploy_boundary"): {
        "CKV_AWS_107", "CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_356",
    },
    ("oidc/backup.tf", "aws_iam_policy_document.backup_key"): {"CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_356"},
    ("oidc/deploy_monitoring.tf", "aws_iam_policy_document.deploy_monitoring"): {"CKV_AWS_111", "CKV_AWS_356"},
    ("oidc/alarm_key.tf", "aws_iam_policy_document.alarm_key"): {"CKV_AWS_109", "CKV_AWS_111", "CKV_AWS_356"},
    ("oidc/plan_role.tf", "aws_iam_policy_document.plan"): {"CKV_AWS_356"},
    ("oidc/codedeploy_role.tf", "aws_iam_policy_document.codedeploy"): {"CKV_AWS_356"},
    ("chalice.tf.json", "api_handler"): {"CKV_AWS_116", "CKV_AWS_117", "CKV_AWS_272"},
    ("chalice.tf.json", "authorizer"): {"CKV_AWS_116", "CKV_AWS_117", "CKV_AWS_272"},
    ("chalice.tf.json", "rest_api"): {"CKV_AWS_237"},
}


def noted_skips(generated: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the skips in the "//" notes of the generated file's resources: (file, name) => check => reason.

    checkov does not read notes in JSON.
    """
    skips: dict[tuple[str, str], dict[str, str]] = {}
    for resources in json.loads(generated.read_text(encoding="utf-8"))["resource"].values():
        for name, resource in resources.items():
            notes = resource.get("//", [])
            for note in [notes] if isinstance(notes, str) else notes:
                if note.startswith("checkov:skip="):
                    check, reason = note.removeprefix("checkov:skip=").split(":", 1)
                    skips.setdefault((generated.name, name), {})[check] = reason
    return skips
