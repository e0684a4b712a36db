"""Publishes the messages of alarms: the topic and its key must permit it, and another alarm can suppress them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Composite_Alarm_Suppression.html
ministack always publishes, and drops the suppressor of a composite alarm.
"""

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .alarms import AFTER_EVALUATION
from .clock import CLOCK
from .responses import Response, service

SUPPRESSOR, WAIT, EXTENSION = "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"
PUBLISHER = "cloudwatch.amazonaws.com"

log = logging.getLogger(__name__)


@dataclass
class Waiting:
    """An alarm's change of state whose actions wait for the suppressor."""

    scope: tuple[str, str]  # account and region
    alarm: dict[str, Any]
    old: str
    until: float  # seconds since 1970
    suppressed: bool = False


_waiting: dict[str, Waiting] = {}  # by the alarm's ARN


def check_and_suppress_actions() -> None:
    """Publish an alarm's messages as AWS does."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    cloudwatch, responses = service("cloudwatch"), import_module("ministack.core.responses")
    put_composite, dispatch = cloudwatch._put_composite_alarm, cloudwatch._dispatch_alarm_actions

    def put_composite_alarm(
        params: dict[str, Any], members: dict[str, Any], is_cbor: bool, is_json: bool = False
    ) -> Response:
        sent = members if is_cbor or is_json else params
        response = put_composite(params, members, is_cbor, is_json)
        alarm = cloudwatch._composite_alarms.get(cloudwatch._p(sent, "AlarmName"))
        if alarm and cloudwatch._p(sent, SUPPRESSOR):
            seconds = {name: int(cloudwatch._p(sent, name)) for name in (WAIT, EXTENSION)}
            alarm.update({SUPPRESSOR: cloudwatch._p(sent, SUPPRESSOR), **seconds})
        return response

    def dispatch_actions(alarm: dict[str, Any], old: str, new: str, reason: str) -> None:
        if SUPPRESSOR not in alarm:
            dispatch(with_permitted_actions(alarm), old, new, reason)
            return
        waiting = _waiting.get(alarm["AlarmArn"])
        if waiting is None:
            scope = (responses.get_account_id(), responses.get_region())
            waiting = Waiting(scope, alarm, old, CLOCK.time() + alarm[WAIT])
            _waiting[alarm["AlarmArn"]] = waiting
        end_wait(waiting)

    def end_wait(waiting: Waiting) -> None:
        alarm, now = waiting.alarm, CLOCK.time()
        if cloudwatch._rule_alarm_state(alarm[SUPPRESSOR]) == "ALARM":
            waiting.suppressed, waiting.until = True, now + alarm[EXTENSION]
        elif now >= waiting.until:
            del _waiting[alarm["AlarmArn"]]
            if alarm["StateValue"] != waiting.old:
                dispatch(with_permitted_actions(alarm), waiting.old, alarm["StateValue"], alarm["StateReason"])

    def end_waits() -> None:
        for waiting in list(_waiting.values()):
            with responses.request_scope(*waiting.scope):
                end_wait(waiting)

    cloudwatch._put_composite_alarm, cloudwatch._dispatch_alarm_actions = put_composite_alarm, dispatch_actions
    AFTER_EVALUATION.append(end_waits)


def with_permitted_actions(alarm: dict[str, Any]) -> dict[str, Any]:
    """Return an alarm with only those actions that the policies of topics and keys permit."""
    kinds = ("AlarmActions", "OKActions", "InsufficientDataActions")
    source = alarm["AlarmArn"]
    return {**alarm, **{kind: [arn for arn in alarm.get(kind, []) if may_publish(source, arn)] for kind in kinds}}


def may_publish(alarm_arn: str, topic_arn: str) -> bool:
    """Tell whether a topic's policy, and the policy of its key, permit an alarm to publish; log an error if not."""
    # pylint: disable=protected-access  # ministack's own state is read
    sns, kms = service("sns"), service("kms")
    evaluator = import_module("ministack.core.iam_evaluator")
    _, _, _, region, account, *_ = topic_arn.split(":")
    topic = sns._topic_by_arn_any_scope(topic_arn)
    if topic is None:
        log.error("The topic %s of the alarm %s does not exist.", topic_arn, alarm_arn)
        return False
    needed = [("sns:Publish", topic_arn, topic["attributes"].get("Policy"))]
    if key_id := topic["attributes"].get("KmsMasterKeyId"):
        key = kms._resolve_key(key_id) or {"Arn": key_id}
        needed += [(action, key["Arn"], key.get("Policy")) for action in ("kms:Decrypt", "kms:GenerateDataKey")]
    for action, resource, policy in needed:
        call = evaluator.EvalContext(
            principal_arn="*", principal_type="Service", principal_account="", action=action, resource_arn=resource,
            region=region, service_context={
                "aws:sourcearn": alarm_arn,
                "aws:sourceaccount": account,
                "kms:encryptioncontext:aws:sns:topicarn": topic_arn,
            },
        )  # fmt: skip
        if evaluator.evaluate_resource_policy(policy, call, service=PUBLISHER).decision != "Allow":
            log.error("The alarm %s may not publish: no policy permits %s on %s.", alarm_arn, action, resource)
            return False
    return True
