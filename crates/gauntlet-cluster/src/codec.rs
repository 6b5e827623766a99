//! Plans on their way between nodes: the operator and the functions of ours, and everything that the engine knows.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use gauntlet_data::cluster::{decode_function, decode_scan, encode_function, encode_scan};

/// How the bytes of an operator of ours begin; no message of the engine's does.
const MAGIC: &[u8] = b"\xFFgauntlet-scan\n";

#[derive(Debug, Default)]
pub(crate) struct Codec {
    engine: BallistaPhysicalExtensionCodec,
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match buf.strip_prefix(MAGIC) {
            Some(scan) => decode_scan(scan, inputs),
            None => self.engine.try_decode(buf, inputs, context, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match encode_scan(node.as_ref()) {
            Some(scan) => {
                buf.extend_from_slice(MAGIC);
                buf.extend_from_slice(&scan);
                Ok(())
            }
            None => self.engine.try_encode(node, buf, converter),
        }
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        decode_function(name, buf)
            .ok_or_else(|| DataFusionError::Plan(format!("this node does not know the function `{name}`")))
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        buf.extend(encode_function(node));
        Ok(())
    }
}
