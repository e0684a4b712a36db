"""The alarms of the deployed stage, on a clock that only tests move: no test waits for a minute to pass."""

import json
import time
import urllib.request
from typing import Any

from emulator.aws import ACCOUNT
from emulator.clock import PATH
from emulator.emulated_aws import EmulatedAws
from emulator.stack import STAGE

PREFIX = f"event-api-{STAGE}-"
DAY = 24 * 60  # minutes
BOTH_KINDS = ["MetricAlarm", "CompositeAlarm"]


def set_clock(aws: EmulatedAws, now: float) -> None:
    """Stop the clock of the emulated CloudWatch at a time in seconds; it evaluates all alarms."""
    body = json.dumps({"now": now}).encode()
    request = urllib.request.Request(f"{aws.endpoint}{PATH}", body, method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        assert json.load(response) == {"now": now}


def stop_clock(aws: EmulatedAws) -> None:
    """Stop the clock at the start of the current minute, so that alarms depend on no test's duration."""
    set_clock(aws, time.time() // 60 * 60.0)


class Alarms:
    """The alarms of the stage, and a queue that gets their messages."""

    def __init__(self, aws: EmulatedAws) -> None:
        self._aws = aws
        self._cloudwatch, self._queues = aws.client("cloudwatch"), aws.client("sqs")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{aws.endpoint}{PATH}") as response:
            self._now: float = json.load(response)["now"]
        arn = f"arn:aws:sqs:{aws.region}:{ACCOUNT}:alarm-messages"
        may_send = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**may_send, "Resource": arn}]})
        queue = self._queues.create_queue(QueueName=arn.rpartition(":")[2], Attributes={"Policy": policy})
        self._queue = queue["QueueUrl"]
        topic = f"arn:aws:sns:{aws.region}:{ACCOUNT}:{PREFIX}alarms"
        aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def pass_minutes(self, count: int) -> None:
        """Let minutes pass. The alarms are evaluated after each one."""
        for _ in range(count):
            self._now += 60
            set_clock(self._aws, self._now)

    def forget(self) -> None:
        """Let a day pass, so that no alarm sees earlier values, and drop the messages."""
        self._now += (DAY - 1) * 60
        self.pass_minutes(1)
        self.messages()

    def states(self) -> dict[str, str]:
        """Return the state of each alarm by its name without the stage."""
        response = self._cloudwatch.describe_alarms(AlarmTypes=BOTH_KINDS, MaxRecords=100)
        alarms = response["MetricAlarms"] + response["CompositeAlarms"]
        return {alarm["AlarmName"].removeprefix(PREFIX): alarm["StateValue"] for alarm in alarms}

    def not_ok(self) -> set[str]:
        """Return the alarms that are not OK."""
        return {name for name, state in self.states().items() if state != "OK"}

    def groups(self) -> set[str]:
        """Return the combined alarms."""
        alarms = self._cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return {alarm["AlarmName"].removeprefix(PREFIX) for alarm in alarms}

    def messages(self) -> list[tuple[str, str]]:
        """Return the alarm and the new state of each message since the last call."""
        messages = []
        while batch := self._queues.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                self._queues.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                content = json.loads(json.loads(message["Body"])["Message"])
                messages.append((content["AlarmName"].removeprefix(PREFIX), content["NewStateValue"]))
        return messages

    def put(self, namespace: str, name: str, dimensions: dict[str, str], *values: float) -> None:
        """Put values of a metric now."""
        datum: dict[str, Any] = {
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "Values": list(values),
        }
        self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])

    def sum_of(self, namespace: str, name: str, dimensions: dict[str, str]) -> float:
        """Return the sum of a metric in the current minute."""
        (point,) = self._cloudwatch.get_metric_statistics(
            Namespace=namespace, MetricName=name, Period=60, Statistics=["Sum"],
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=self._now, EndTime=self._now + 60,
        )["Datapoints"]  # fmt: skip
        return float(point["Sum"])

    def assert_one_message(self, raised: set[str], sender: str) -> None:
        """Assert that the last minute raises exactly these alarms, that one of them sends a message, and that they end.

        `sender` is the alarm that sends the message. It need not be in `raised`.
        """
        assert self.not_ok() == set()
        self.pass_minutes(1)
        assert self.not_ok() == raised | {sender}
        self.pass_minutes(4)  # a group may wait for another one
        assert self.messages() == [(sender, "ALARM")]
        self.pass_minutes(5)
        assert self.not_ok() == set()
        self.pass_minutes(4)
        assert not self.messages()
