//! The data gate on several machines: the same plans on Apache DataFusion Ballista. Empty without the feature `cluster`.
