"""A cluster in memory: for tests, and for trying what stands above clusters. Server-side apply and its owners are real.

Objects are kept without defaults; Deployments become ready at once, unless `behaves` says otherwise.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import OutOfReach
from pipeline.kubernetes.api import MANAGER, RESOURCES, Conflict, Gone, Object, Owned, Right, refusal
from pipeline.kubernetes.fields import Path, at, fields_v1, leaves, merged, remove, shown
from pipeline.targets.remote import Answer

Behaviour = Callable[[Object], Mapping[str, Any]]
"""Gives what is otherwise in the status of a Deployment's pods: {} when they are ready, else a PodStatus."""
_Owners = dict[tuple[str, str], set[Path]]
"""(manager, operation) → the fields that it set."""


class MemoryCluster:
    """`pipeline.kubernetes.api.Cluster` of one namespace. `answers` stands for all services; `events` are told.

    `away` makes every request fail, `expired` has credentials refused; `refuses(verb, kind)` gives the message of a
    right that is missing. `kubernetes` is its version, `image_volumes` whether that gate is on, `exists` whether the
    namespace does.
    """

    def __init__(
        self,
        namespace: str = "default",
        behaves: Behaviour = lambda _deployment: {},
        answers: Callable[[str, bytes], Answer] = lambda _service, _body: Answer(200, b"{}"),
        refuses: Callable[[str, str], str] = lambda _verb, _kind: "",
    ) -> None:
        self.namespace, self.address = namespace, "https://memory.invalid"
        self.behaves, self.answers, self.refuses = behaves, answers, refuses
        self.away = self.expired = False
        self.kubernetes, self.image_volumes, self.exists = (1, 35), True, True
        self.events: list[Object] = []
        self.written: dict[str, list[str]] = {}
        self.history: list[tuple[str, str, str]] = []
        self._objects: dict[tuple[str, str], Object] = {}
        self._owners: dict[tuple[str, str], _Owners] = {}
        self._version = 0

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object | None:
        self._ask("get", kind)
        found = self._objects.get((kind, name))
        return self._told(found) if found else None

    def find(self, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        self._ask("list", kind)
        wanted = dict(pair.split("=", 1) for pair in labels.split(",") if pair)
        if kind == "Event":
            name = fields.partition("involvedObject.name=")[2]
            return [one for one in self.events if one["involvedObject"]["name"] == name]
        every = [self._told(one) for (of, _), one in self._objects.items() if of == kind]
        every += self._pods() if kind == "Pod" else []
        found = [one for one in every if wanted.items() <= (one["metadata"].get("labels") or {}).items()]
        # As the API server does: the list says what its items are.
        return [{key: value for key, value in one.items() if key not in ("apiVersion", "kind")} for one in found]

    def _told(self, value: Object) -> Object:
        """With managedFields and, of a Deployment, its status."""
        key = value["kind"], value["metadata"]["name"]
        found = copy.deepcopy(value)
        found["metadata"]["managedFields"] = [
            {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields_v1(paths)}
            for (manager, operation), paths in self._owners[key].items()
            if paths
        ]
        if found["kind"] == "Deployment":
            found["status"] = self._status(found)
        return found

    def _status(self, deployment: Object) -> Object:
        count = deployment["spec"].get("replicas", 1)
        ready = 0 if self.behaves(deployment) else count
        status = {"observedGeneration": deployment["metadata"]["generation"], "replicas": count}
        return {**status, "updatedReplicas": count, "availableReplicas": ready, "readyReplicas": ready}

    def _pods(self) -> list[Object]:
        pods = []
        for (kind, name), deployment in self._objects.items():
            for number in range(deployment["spec"].get("replicas", 1)) if kind == "Deployment" else ():
                ready = {"containerStatuses": [{"name": "service", "ready": True, "state": {"running": {}}}]}
                labels = deployment["spec"]["template"]["metadata"]["labels"]
                pod = {"kind": "Pod", "metadata": {"name": f"{name}-{number}", "labels": dict(labels)}}
                pods.append({**pod, "status": self.behaves(deployment) or ready})
        return pods

    # -- writing ------------------------------------------------------------------------------------------------

    def apply(self, wanted: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER) -> Object:
        self._ask("patch", wanted["kind"])
        self._admit(wanted)
        key = wanted["kind"], wanted["metadata"]["name"]
        before, owners = self._objects.get(key), copy.deepcopy(self._owners.get(key, {}))
        ours = set(leaves({name: one for name, one in wanted.items() if name not in ("apiVersion", "kind")}))
        ours.discard(("metadata", "name"))
        taken = _taken(before or {}, wanted, ours, owners, manager)
        if taken and not force:
            raise Conflict(f"{key[0]} {key[1]}", taken)
        dropped = owners.get((manager, "Apply"), set()) - ours
        for name, paths in owners.items():
            if name != (manager, "Apply"):
                paths -= {path for path in paths & ours if at(before, path) != at(wanted, path)}
        owners[manager, "Apply"] = ours
        held = set().union(*owners.values())
        after = merged(before or {"metadata": {"namespace": self.namespace}}, wanted)
        for path in dropped - held:
            remove(after, path)
        return self._would(key, after, owners) if dry_run else self._keep("apply", key, after, owners)

    def _would(self, key: tuple[str, str], after: Object, owners: _Owners) -> Object:
        """As the API server does it: nothing is kept, and the answer is what would be."""
        kept = self._objects.get(key), self._owners.get(key), self._version
        try:
            self._put(key, after, owners)
            return self._told(self._objects[key])
        finally:
            self._restore(key, *kept)

    def merge(self, kind: str, name: str, change: Object) -> Object:
        self._ask("patch", kind)
        return self.edit(MANAGER, kind, name, change)

    def edit(self, manager: str, kind: str, name: str, change: Object) -> Object:
        """As `kubectl` and controllers change objects: who changes a field owns it."""
        key = kind, name
        before = self._there(key)
        after, owners = merged(before, change), copy.deepcopy(self._owners[key])
        changed = {path for path in leaves(change) if at(before, path) != at(after, path)}
        for paths in owners.values():
            paths -= changed
        owners.setdefault((manager, "Update"), set()).update(changed)
        return self._keep("merge", key, after, owners)

    def replace(self, changed: Object, *, dry_run: bool = False) -> Object:
        self._ask("update", changed["kind"])
        key = changed["kind"], changed["metadata"]["name"]
        if changed["metadata"].get("resourceVersion") != self._there(key)["metadata"]["resourceVersion"]:
            raise refusal(409, {"message": "the object has been modified"}, key[1], self.namespace)
        there = set(leaves(changed))
        owners = {name: paths & there for name, paths in self._owners[key].items()}
        after = {name: one for name, one in changed.items() if name != "status"}
        return self._would(key, after, owners) if dry_run else self._keep("replace", key, after, owners)

    def delete(self, kind: str, name: str) -> None:
        self._ask("delete", kind)
        if self._objects.pop((kind, name), None):
            del self._owners[kind, name]
            self.history.append(("delete", kind, name))

    def _keep(self, verb: str, key: tuple[str, str], value: Object, owners: _Owners) -> Object:
        self.history.append((verb, *key))
        self._put(key, value, owners)
        return self._told(self._objects[key])

    def _put(self, key: tuple[str, str], value: Object, owners: _Owners) -> None:
        value, before = copy.deepcopy(value), self._objects.get(key)
        value["metadata"].pop("managedFields", None)
        self._version += value != before
        generation = before["metadata"]["generation"] if before else 0
        if before is None or before.get("spec") != value.get("spec"):
            generation += 1
        value["metadata"] |= {"generation": generation, "resourceVersion": str(self._version)}
        self._objects[key], self._owners[key] = value, owners

    def _restore(self, key: tuple[str, str], value: Object | None, owners: _Owners | None, version: int) -> None:
        self._version = version
        if value is None or owners is None:
            self._objects.pop(key, None)
            self._owners.pop(key, None)
        else:
            self._objects[key], self._owners[key] = value, owners

    def _admit(self, wanted: Object) -> None:
        """As the API server does: nothing in a namespace that is not there, and no volume of a kind that is off."""
        if not self.exists:
            told = {"message": f'namespaces "{self.namespace}" not found', "details": {"kind": "namespaces"}}
            raise refusal(404, told, f"{wanted['kind']} {wanted['metadata']['name']}", self.namespace)
        pod = ((wanted.get("spec") or {}).get("template") or {}).get("spec") or {}
        if not self.image_volumes and any("image" in volume for volume in pod.get("volumes") or ()):
            message = "spec.template.spec.volumes[0]: Required value: must specify a volume type"
            raise refusal(422, {"message": message}, f"Deployment {wanted['metadata']['name']}", self.namespace)

    # -- services -----------------------------------------------------------------------------------------------

    def version(self) -> tuple[int, int]:
        self._ask("get", "version")
        return self.kubernetes

    def lacking(self, wanted: Sequence[Right]) -> list[Right]:
        self._ask("create", "selfsubjectrulesreviews")
        kinds = {resource.plural: kind for kind, resource in RESOURCES.items()}
        return [right for right in wanted if self.refuses(right.verb, kinds.get(right.resource, right.resource))]

    def logs(
        self,
        pod: str,
        *,
        previous: bool = False,  # noqa: ARG002
        follow: bool = False,  # noqa: ARG002
        lines: int | None = None,
    ) -> Iterator[str]:
        self._ask("get", "Pod")
        written = self.written.get(pod, [])
        yield from written if lines is None else written[max(len(written) - lines, 0) :]

    def call(
        self,
        service: str,
        port: int,  # noqa: ARG002
        path: str,  # noqa: ARG002
        body: bytes,
        headers: Mapping[str, str],  # noqa: ARG002
        timeout: float,  # noqa: ARG002
    ) -> Answer:
        if self.away or self.expired:
            self._ask("create", "services/proxy")
        if ("Service", service) not in self._objects:
            raise ConnectionError(f"no endpoints available for service {service}")
        if message := self.refuses("create", "services/proxy"):
            raise ConnectionError(str(refusal(403, {"message": message}, f"the service {service}", self.namespace)))
        return self.answers(service, body)

    # -- within -------------------------------------------------------------------------------------------------

    def _ask(self, verb: str, kind: str) -> None:
        if self.away:
            raise OutOfReach("the API server does not answer: connection refused", transient=True)
        if self.expired:
            raise refusal(401, {"message": "Unauthorized"}, f"a {kind}", self.namespace, "user ci")
        if message := self.refuses(verb, kind):
            raise refusal(403, {"message": message}, f"a {kind}", self.namespace)

    def _there(self, key: tuple[str, str]) -> Object:
        if key not in self._objects:
            raise Gone(f"{key[0]} {key[1]} is not there")
        return self._objects[key]


def _taken(before: Object, wanted: Object, ours: set[Path], owners: _Owners, applier: str) -> Sequence[Owned]:
    """Fields that others own and have otherwise."""
    return [
        Owned(shown(path), manager)
        for (manager, operation), paths in owners.items()
        for path in sorted(paths & ours, key=json.dumps)
        if (manager, operation) != (applier, "Apply") and at(before, path) != at(wanted, path)
    ]
