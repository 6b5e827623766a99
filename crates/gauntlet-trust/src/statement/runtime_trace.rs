//! runtime-trace: what a monitor saw a process do. Read only.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate};
use super::{ResourceDescriptor, StatementError};

/// What a monitor saw.
pub const RUNTIME_TRACE: &str = "https://in-toto.io/attestation/runtime-trace/v0.1";

/// The predicate of runtime-trace v0.1 and v0.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeTrace {
    /// Who watched.
    pub monitor: Monitor,
    /// What was watched.
    pub monitored_process: MonitoredProcess,
    /// What was seen.
    pub monitor_log: MonitorLog,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// Who watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    /// URI of the kind of monitor; it says what the log's entries mean.
    #[serde(rename = "type")]
    pub kind: String,
    /// Members that this type does not name: configuration and trace policy.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// What was watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoredProcess {
    /// Who ran it.
    #[serde(rename = "hostID")]
    pub host_id: String,
    /// URI of the kind of process.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which run it was.
    pub event: String,
}

/// What was seen: at least one of the three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitorLog {
    /// Processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Vec<Map<String, Value>>>,
    /// Connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Vec<Map<String, Value>>>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_access: Option<Vec<ResourceDescriptor>>,
}

impl Predicate for RuntimeTrace {
    const TYPES: &'static [&'static str] = &[RUNTIME_TRACE, "https://in-toto.io/attestation/runtime-trace/v0.2"];
    const NAME: &'static str = "runtime trace";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("monitor.type", &self.monitor.kind)?;
        member.text("monitoredProcess.hostID", &self.monitored_process.host_id)?;
        member.text("monitoredProcess.type", &self.monitored_process.kind)?;
        member.text("monitoredProcess.event", &self.monitored_process.event)?;
        let log = &self.monitor_log;
        if log.process.is_none() && log.network.is_none() && log.file_access.is_none() {
            return Err(member.wrong("monitorLog", "has neither process, network nor fileAccess"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn an_empty_log_is_no_trace() {
        let trace = |log: Value| {
            read::<RuntimeTrace>(json!({
                "monitor": {"type": "https://m.example", "configSource": {}},
                "monitoredProcess": {"hostID": "https://h.example", "type": "https://t.example", "event": "run-1"},
                "monitorLog": log,
            }))
        };
        assert!(trace(json!({"network": [{"ip": "192.0.2.1", "port": 443}]})).is_ok());
        assert!(trace(json!({})).unwrap_err().to_string().contains("monitorLog"));
    }
}
