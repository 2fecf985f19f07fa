//! What a document says that keeps its stream from being opened.

use super::{
    read::Reader,
    shape::{ProtectionDocument, StopDocument},
};
use crate::domain::{
    freeze::FreezeWindow,
    protection::{EmergencyStop, Protection},
};

/// More windows than that nobody keeps in mind.
const MOST_WINDOWS: usize = 100;

impl Reader {
    pub(super) fn protection(&mut self, path: &str, document: &ProtectionDocument) -> Protection {
        let shortest_path = format!("{path}.shortest_rollout");
        let shortest_rollout =
            document.shortest_rollout.as_ref().and_then(|shortest| self.minutes(&shortest_path, shortest));
        if document.freeze_windows.len() > MOST_WINDOWS {
            self.problem(format!("{path}.freeze_windows"), format!("are more than {MOST_WINDOWS}"));
        }
        let mut freeze_windows = Vec::new();
        for (index, window) in document.freeze_windows.iter().enumerate() {
            match FreezeWindow::from_document(window) {
                Ok(window) => freeze_windows.push(window),
                Err((field, message)) => self.problem(format!("{path}.freeze_windows[{index}].{field}"), message),
            }
        }
        Protection { shortest_rollout, freeze_windows }
    }

    pub(super) fn stop(&mut self, path: &str, document: &StopDocument) -> Option<EmergencyStop> {
        let since = self.epoch(&format!("{path}.since"), &document.since);
        let reason = self.reason(&format!("{path}.reason"), &document.reason);
        Some(EmergencyStop { since: since?, reason: reason? })
    }
}
