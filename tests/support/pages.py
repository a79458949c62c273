"""What Dagster's pages ask when somebody opens the partitions of an asset."""

STATISTICS = """query AssetPartitionStatistics($assetKeys: [AssetKeyInput!]) {
  assetNodes(assetKeys: $assetKeys) {
    id
    partitionStats { numMaterialized numMaterializing numPartitions numFailed }
  }
}"""
"""How many cells are in each state; the asset's node in the lineage shows it."""

_RANGES = "ranges { status startTime endTime startKey endKey }"
_LISTS = "materializedPartitions materializingPartitions failedPartitions"
HEALTH = f"""query PartitionHealthQuery($assetKey: AssetKeyInput!) {{
  assetNodeOrError(assetKey: $assetKey) {{
    ... on AssetNode {{
      id
      partitionKeysByDimension {{ name type partitionKeys }}
      assetPartitionStatuses {{
        ... on TimePartitionStatuses {{ {_RANGES} }}
        ... on DefaultPartitionStatuses {{ {_LISTS} }}
        ... on MultiPartitionStatuses {{
          primaryDimensionName
          ranges {{
            primaryDimStartKey primaryDimEndKey primaryDimStartTime primaryDimEndTime
            secondaryDim {{
              ... on TimePartitionStatuses {{ {_RANGES} }}
              ... on DefaultPartitionStatuses {{ {_LISTS} }}
            }}
          }}
        }}
      }}
    }}
  }}
}}"""
"""The state of every cell; the page of an asset's partitions is drawn from it."""
