from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float32, Int64

person = Entity(name="person", join_keys=["id"])
people = FeatureView(
    name="people",
    entities=[person],
    schema=[Field(name="age", dtype=Int64, tags={"classification": "personal"}), Field(name="charge", dtype=Float32)],
    source=FileSource(path="people.parquet", timestamp_field="event_time"),
)
