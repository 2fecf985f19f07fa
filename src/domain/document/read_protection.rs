//! Parsing of protections and emergency stops.

use super::{
    read::Reader,
    shape::{ProtectionDocument, StopDocument},
};
use crate::domain::admission::{emergency_stop::EmergencyStop, freeze_window::FreezeWindow, protection::Protection};

/// The maximum number of freeze windows of a stream.
const MAX_WINDOWS: usize = 100;

impl Reader {
    pub(super) fn protection(&mut self, path: &str, document: &ProtectionDocument) -> Protection {
        let shortest_path = format!("{path}.shortest_rollout");
        let shortest_rollout =
            document.shortest_rollout.as_ref().and_then(|shortest| self.minutes(&shortest_path, shortest));
        if document.freeze_windows.len() > MAX_WINDOWS {
            let count = document.freeze_windows.len();
            self.problem(
                format!("{path}.freeze_windows"),
                format!("has {count} windows, at most {MAX_WINDOWS} are allowed"),
            );
        }
        let mut freeze_windows = Vec::new();
        for (index, window) in document.freeze_windows.iter().enumerate() {
            match FreezeWindow::from_document(window) {
                Ok(window) => freeze_windows.push(window),
                Err((field, message)) => self.problem(format!("{path}.freeze_windows[{index}].{field}"), message),
            }
        }
        let canaries = self.set(&format!("{path}.canaries"), &document.canaries);
        Protection { shortest_rollout, canaries, freeze_windows }
    }

    pub(super) fn stop(&mut self, path: &str, document: &StopDocument) -> Option<EmergencyStop> {
        let since = self.epoch(&format!("{path}.since"), &document.since);
        let reason = self.reason(&format!("{path}.reason"), &document.reason);
        Some(EmergencyStop { since: since?, reason: reason? })
    }
}
