"""RegisterThing, and registration in bulk: StartThingRegistrationTask ... ListThingRegistrationTaskReports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from fleetgate.api import reports
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import ConflictingUpdate, InvalidRequest, Refused, RegistrationFailed, Throttled
from fleetgate.names import Act
from fleetgate.provisioning import input_file, register
from fleetgate.registry import pages, tasks
from fleetgate.registry.pages import Page
from fleetgate.registry.tasks import Report, Status
from fleetgate.runtime import Runtime

_TASKS: Final = Listing("registration-tasks")


# --- one device -------------------------------------------------------------------------------------------------------


async def register_thing(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """All of it or nothing. A template that cannot be read or rendered is an invalid request; whatever the registry
    refuses is a failed registration.
    """
    document = register.read_template(params["templateBody"])
    settle = await register.prepare(runtime, act, document, params.get("parameters", {}))

    def registered(tx: Tx) -> Result:
        with _failing():
            done = settle(tx)
        return {"certificatePem": done.certificate_pem, "resourceArns": dict(done.arns)}

    return registered


@contextmanager
def _failing() -> Iterator[None]:
    """Refusals of the registry under the names that RegisterThing has for them."""
    try:
        yield
    except (ConflictingUpdate, Throttled, RegistrationFailed):
        raise
    except Refused as error:
        raise RegistrationFailed(error.message, reason=error.reason) from error


def registered_thing(act: Act, params: Params, result: Result) -> str:
    """What the audit entry of RegisterThing is about."""
    return register.Registration(None, result["resourceArns"]).target(act)


# --- in bulk ----------------------------------------------------------------------------------------------------------


async def start_thing_registration_task(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Refused at once where template or file cannot be used. A server's runner takes the task up within a second."""
    body = params["templateBody"]
    register.read_template(body)
    bucket, key = params["inputFileBucket"], params["inputFileKey"]
    source = await asyncio.to_thread(input_file.look, runtime.config, act.realm.account, bucket, key, runtime.clock)
    return lambda tx: {"taskId": tasks.start(tx, act, body, source, params["roleArn"]).id}


def describe_thing_registration_task(tx: Tx, act: Act, params: Params) -> Result:
    task = tasks.get(tx, act.realm, params["taskId"])
    return {
        "taskId": task.id,
        "creationDate": task.created_at,
        "lastModifiedDate": task.updated_at,
        "templateBody": task.template_body,
        "inputFileBucket": task.input.bucket,
        "inputFileKey": task.input.key,
        "roleArn": task.role_arn,
        "status": task.status,
        "message": task.message or None,
        "successCount": task.successes,
        "failureCount": task.failures,
        "percentageProgress": task.percentage,
    }


def list_thing_registration_tasks(tx: Tx, act: Act, params: Params) -> Result:
    """Newest first."""
    status = Status(params["status"]) if "status" in params else None
    page = tasks.page(tx, act.realm, *_TASKS.opened(params), status=status)
    return {"taskIds": [task.id for task in page.items], "nextToken": _TASKS.token(page, params)}


def stop_thing_registration_task(tx: Tx, act: Act, params: Params) -> Result:
    tasks.stop(tx, act, params["taskId"])
    return {}


def list_thing_registration_task_reports(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Links to what there is by now; more may come while the task runs."""
    task_id, report = params["taskId"], Report(params["reportType"])
    listing = Listing(f"registration-{report.lower()}")
    after, limit = listing.opened(params)
    first = pages.number_after(after)

    def listed(tx: Tx) -> Result:
        if tasks.find(tx, act.realm, task_id) is None:  # this operation has no other name for it
            raise InvalidRequest(f"Task {task_id} does not exist in this account and region.")
        found = list(islice(tasks.parts(tx, act.realm, task_id, report, reports.PART, first), limit + 1))
        page = Page(tuple(found[:limit]), str(found[limit - 1]) if len(found) > limit else None)
        links = [reports.link(runtime, act, task_id, report, part) for part in page.items]
        return {"resourceLinks": links, "reportType": report, "nextToken": listing.token(page, params)}

    return listed
