"""What a person does on Dagster's pages, over the same GraphQL that the pages use."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LAUNCH = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
  }
}"""
_BACKFILL = """query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      error { message }
      runs(limit: 100) { id status tags { key value } }
    }
  }
}"""
_STALE = """query($key: AssetKeyInput!, $partition: String) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { staleStatus(partition: $partition) }
  }
}"""
_MATERIALIZATIONS = """query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { assetMaterializations(limit: 1000) { partition } }
  }
}"""
_LINK = """query($key: AssetKeyInput!, $partitions: [String!]) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetMaterializations(partitions: $partitions, limit: 1) {
        metadataEntries { label ... on UrlMetadataEntry { url } }
      }
    }
  }
}"""
_CHECK = """query($key: AssetKeyInput!, $check: String!, $partition: String) {
  assetCheckExecutions(assetKey: $key, checkName: $check, partition: $partition, limit: 10) {
    evaluation { success partition }
  }
}"""
_RUNS = """query($tags: [ExecutionTag!]) {
  runsOrError(filter: {tags: $tags}) { ... on Runs { results { id status } } }
}"""

_TERMINATE = """mutation($id: String!, $policy: TerminateRunPolicy) {
  terminateRun(runId: $id, terminatePolicy: $policy) {
    __typename
    ... on TerminateRunFailure { message }
    ... on PythonError { message }
  }
}"""


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill that ended; `targets` are the partitions of its runs, one entry a run."""

    status: str
    run_statuses: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Pages:
    """Dagster's pages at an address."""

    url: str

    def ask(self, query: str, **variables: object) -> Any:
        """The data of a query; an error in the answer fails the test."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def backfill(
        self, assets: Sequence[str], partitions: Sequence[str], *, timeout: float = 120
    ) -> Backfill:
        """Launch a backfill and wait for its end; the daemon looks every 30 s."""
        params = {"assetSelection": [_key(it) for it in assets], "partitionNames": partitions}
        launched = self.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        assert "backfillId" in launched, launched
        until = time.monotonic() + timeout
        while True:
            query = self.ask(_BACKFILL, id=launched["backfillId"])
            found = query["partitionBackfillOrError"]
            if found["status"].startswith(("COMPLETED", "FAILED")):
                break
            assert time.monotonic() < until, found
            time.sleep(0.5)
        tags = [{it["key"]: it["value"] for it in run["tags"]} for run in found["runs"]]
        return Backfill(
            status=found["status"],
            run_statuses=tuple(run["status"] for run in found["runs"]),
            targets=tuple(sorted(_target(it) for it in tags)),
        )

    def staleness(self, asset: str, partition: str) -> str:
        """FRESH, STALE or MISSING."""
        found = self.ask(_STALE, key=_key(asset), partition=partition)
        return str(found["assetNodeOrError"]["staleStatus"])

    def materializations(self, asset: str) -> Counter[str]:
        """Number of materializations of each partition."""
        found = self.ask(_MATERIALIZATIONS, key=_key(asset))["assetNodeOrError"]
        return Counter(it["partition"] for it in found["assetMaterializations"])

    def links(self, asset: str, partition: str) -> list[str]:
        """The addresses in the metadata of the latest materialization of a partition."""
        found = self.ask(_LINK, key=_key(asset), partitions=[partition])["assetNodeOrError"]
        (latest,) = found["assetMaterializations"]
        return [it["url"] for it in latest["metadataEntries"] if "url" in it]

    def evaluations(self, asset: str, check: str, partition: str) -> list[bool]:
        """Verdicts of a check on one partition, the latest first."""
        found = self.ask(_CHECK, key=_key(asset), check=check, partition=partition)
        verdicts = [it["evaluation"] for it in found["assetCheckExecutions"]]
        assert all(it is None or it["partition"] == partition for it in verdicts)
        return [it["success"] for it in verdicts if it is not None]

    def runs(self, **tags: str) -> Counter[str]:
        """Number of runs with these tags in each status; `__` in a name stands for `/`."""
        wanted = [{"key": name.replace("__", "/"), "value": it} for name, it in tags.items()]
        found = self.ask(_RUNS, tags=wanted)["runsOrError"]["results"]
        return Counter(it["status"] for it in found)

    def terminate(self, run_id: str, *, force: bool = False) -> str:
        """Terminate a run; what kind of answer there is."""
        policy = "MARK_AS_CANCELED_IMMEDIATELY" if force else "SAFE_TERMINATE"
        found = self.ask(_TERMINATE, id=run_id, policy=policy)
        return str(found["terminateRun"]["__typename"])


def _key(asset: str) -> dict[str, list[str]]:
    return {"path": [asset]}


def _target(tags: dict[str, str]) -> tuple[str, str]:
    single = tags.get("dagster/partition")
    if single is not None:
        return single, single
    return tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
